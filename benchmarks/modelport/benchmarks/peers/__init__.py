"""`make bench-peers`: the same ONNX model behind other servers, each with one thread of ONNX Runtime and one worker.

`entry_script` and `mlserver_runtime` run in the peers' environments.
"""
