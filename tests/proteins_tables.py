"""Small tables for the tests of tmelt.proteins: sequences of our own, written as a person would."""

import csv
import io

import numpy as np

from tmelt.study.config import Data

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def sequence(number, length=60):
    """An amino-acid sequence that belongs to `number` alone and resembles no other."""
    return "".join(np.random.default_rng([number, length]).choice(LETTERS, length))


def row(number, **cells):
    """A sound row; `cells` overrides."""
    sound = {"protein_id": f"p{number}", "sequence": sequence(number), "tm": 40 + number % 30}
    return sound | {"organism": f"o{number % 3}"} | cells


def rows(count, **cells):
    return [row(number, **cells) for number in range(count)]


def text(table, delimiter=","):
    """Rows as the text of a CSV file."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, table[0].keys(), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue()


def data(path="synthetic", **settings):
    return Data.model_validate({"name": "mine", "source": str(path)} | settings)


def write(folder, table, name="mine.csv"):
    path = folder / name
    path.write_text(text(table), encoding="utf-8")
    return path
