"""Parity reports of every verdict, as a comparison would fill them, for tests of what shows them."""

from __future__ import annotations

from modelport.packager.parity.report import (
    BatchCheck,
    Histogram,
    OutputComparison,
    ParityReport,
    RowSet,
    ThreadCheck,
    Thresholds,
    Witness,
)

DECADES = tuple(10.0**exponent for exponent in range(-12, 4))
HOSTILE = "</script><script>alert('x')</script>&amp;\"'><img src=x onerror=alert(1)>"


def spread(zero: int, **decades: int) -> Histogram:
    """Return a histogram with `zero` equal values and counts by decade: `m8=3` is 3 from 1e-8 up to 1e-7."""
    counts = [0] * (len(DECADES) + 1)
    for name, count in decades.items():
        exponent = int(name.replace("m", "-").replace("p", ""))
        counts[exponent + 13] = count
    return Histogram(zero=zero, edges=DECADES, counts=tuple(counts))


def passed() -> ParityReport:
    """A classifier that was proven against the trained pipeline."""
    return ParityReport(
        name="flight-delay",
        model="HistGradientBoostingClassifier behind ColumnTransformer, 214 nodes, opset 21",
        reference="sklearn.pipeline.Pipeline (scikit-learn 1.9.1)",
        engine="onnxruntime 1.32.0 (cpu)",
        contract="float64",
        proof="trained",
        verdict="passed",
        deterministic=True,
        notes=(
            "Trees behind a scaler compare in 32 bits: a cast was put in front of them, as scikit-learn does inside.",
        ),
        outputs=(
            OutputComparison(name="label", kind="label", rows=48_216, ties=3),
            OutputComparison(
                name="probabilities",
                kind="number",
                rows=48_216,
                absolute_tolerance=1e-6,
                relative_tolerance=1e-5,
                max_absolute=2.98e-7,
                p999_absolute=1.8e-7,
                max_relative=4.1e-6,
                histogram=spread(61_204, m10=12, m9=2_410, m8=30_881, m7=1_925),
            ),
        ),
        row_sets=(
            RowSet(name="sample", rows=8_192, max_absolute=1.2e-7),
            RowSet(name="within the seen range", rows=8_192, ties=1, max_absolute=2.4e-7),
            RowSet(name="rounded to 1 decimal", rows=8_192, ties=2, max_absolute=2.98e-7),
            RowSet(name="rounded to 2 decimals", rows=8_192, max_absolute=1.9e-7),
            RowSet(name="missing values and unknown categories", rows=4_096, max_absolute=1.1e-7),
            RowSet(name="tree thresholds", rows=11_352, max_absolute=2.1e-7),
        ),
        witnesses=(
            Witness(
                rows="rounded to 1 decimal",
                output="probabilities",
                inputs={
                    "dep_delay": 12.5,
                    "distance": 1089.0,
                    "carrier": "UA",
                    "origin": "EWR",
                    "temp": None,
                    "wind_speed": 11.50779,
                    "month": 6,
                    "is_weekend": False,
                },
                expected=[0.7310585786300049, 0.2689414213699951],
                got=[0.7310588766, 0.2689411234],
                difference=2.98e-7,
            ),
        ),
        thresholds=Thresholds(distinct=1_892, probed=1_892, reached=1_771, rows=11_352),
        batches=BatchCheck(sizes=(1, 2, 5), rows=1_000, identical=False, identical_padded=True, max_absolute=5.96e-8),
        threads=ThreadCheck(threads=2, rows=8_192, changed=0),
    )


def failed() -> ParityReport:
    """A classifier with sixty features, some of them hostile, whose labels differ."""
    features = {f"feature_{index:02d}": 0.1 * index for index in range(58)}
    inputs = {**features, HOSTILE: HOSTILE, "a_very_long_name_" * 12: "long text " * 80, "nul\x00\u202e": "\ud800"}
    return ParityReport(
        name="churn",
        model="RandomForestClassifier behind StandardScaler, 9 nodes, opset 21",
        reference="sklearn.pipeline.Pipeline (scikit-learn 1.9.1)",
        engine="onnxruntime 1.32.0 (cpu)",
        contract="float32",
        proof="trained",
        verdict="failed",
        deterministic=True,
        failures=(
            "output `label`: 17 of 16,000 labels differ, none of them a tie",
            "output `probabilities`: 699 of 16,000 rows are beyond 1e-06 + 1e-05 of the value, at most by 0.23",
        ),
        outputs=(
            OutputComparison(name="label", kind="label", rows=16_000, mismatches=17, ties=4),
            OutputComparison(
                name="probabilities",
                kind="number",
                rows=16_000,
                over_tolerance=699,
                absolute_tolerance=1e-6,
                relative_tolerance=1e-5,
                max_absolute=0.2304,
                p999_absolute=0.0817,
                max_relative=0.61,
                histogram=spread(24_000, m9=310, m8=21_400, m7=892, m3=40, m2=1_290, m1=68),
            ),
        ),
        row_sets=(
            RowSet(name="sample", rows=2_000, max_absolute=1.2e-7),
            RowSet(
                name="rounded to 2 decimals",
                rows=14_000,
                label_mismatches=17,
                ties=4,
                over_tolerance=699,
                max_absolute=0.2304,
            ),
        ),
        witnesses=(
            Witness(
                rows="rounded to 2 decimals",
                output="label",
                inputs=inputs,
                expected="stays",
                got=HOSTILE,
                difference=1.0,
            ),
            Witness(
                rows="rounded to 2 decimals",
                output="probabilities",
                inputs=inputs,
                expected=[0.51, 0.26, 0.23],
                got=[0.51, 0.4904, 0.0],
                difference=0.2304,
            ),
        ),
        thresholds=Thresholds(distinct=4_213, probed=1_250, reached=960, rows=7_500),
        batches=BatchCheck(sizes=(1, 2, 5), rows=1_000, identical=True, identical_padded=True),
        threads=ThreadCheck(threads=2, rows=2_000, changed=12, max_absolute=1.2e-7),
    )


def accepted() -> ParityReport:
    """A regressor whose differences somebody accepted, compared with given outputs only."""
    return ParityReport(
        name="prices",
        model="prices.onnx, 3 nodes, opset 17",
        reference="outputs.parquet",
        engine="onnxruntime 1.32.0 (cpu)",
        contract="float32",
        proof="expected",
        verdict="accepted",
        deterministic=False,
        failures=("output `price`: 1 of 400 rows is beyond 0 + 0 of the value, at most by 0.88",),
        outputs=(
            OutputComparison(
                name="price",
                kind="number",
                rows=400,
                over_tolerance=1,
                max_absolute=0.88,
                p999_absolute=0.88,
                max_relative=0.031,
                histogram=spread(399, m1=1),
            ),
        ),
        row_sets=(RowSet(name="sample", rows=400, over_tolerance=1, max_absolute=0.88),),
        witnesses=(
            Witness(
                rows="sample",
                output="price",
                inputs={"x": [1.5, float("nan")]},
                expected=28.4,
                got=29.28,
                difference=0.88,
            ),
        ),
        batches=BatchCheck(sizes=(1, 2), rows=400, identical=False, identical_padded=False, max_absolute=1.5),
    )
