"""`make conformance`: clients that others make, each in its own environment, against one running server.

What runs in those environments (`clients`, `cases`, `checks`, `operations`, `azureml`, `asking`) needs nothing but the
standard library and the client itself.
"""
