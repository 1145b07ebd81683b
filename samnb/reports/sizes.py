"""Parameters of the baselines beside those of the published networks."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

_FILE = Path(__file__).with_name("published_sizes.yaml")


def beside_published(counted: Mapping[str, int]) -> pd.DataFrame:
    """counted: title of a system -> parameters. Columns: here, published, difference (percent),
    configuration of the published count, printed elsewhere; in the order given.
    """
    published = pd.DataFrame.from_dict(
        yaml.safe_load(_FILE.read_text(encoding="utf-8")), orient="index"
    )
    table = published.reindex(list(counted))
    here = pd.Series(counted, dtype="int64")
    return pd.DataFrame(
        {
            "here": here,
            "published": table["parameters"].astype("Int64"),
            "difference, %": 100 * (here / table["parameters"] - 1),
            "published configuration": table["configuration"].fillna(""),
            "other papers print": table["printed"].fillna(""),
        }
    ).loc[list(counted)]
