"""Tables are the numbers that were written, whatever the format, and bad files are refused in one line."""

import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from gaussgan.data import table_csv, tables
from gaussgan.data.tables import count_rows, fingerprint, read_table

X = np.random.default_rng(0).standard_normal((7, 3)) * [1e-8, 1, 1e8]
CSV = "a,b,c\n" + "".join(",".join(map(repr, row)) + "\n" for row in X.tolist())
PARQUET = pytest.mark.extra

Write = Callable[[Path, np.ndarray], Any]
WRITERS: dict[str, Write] = {
    "x.npy": np.save,
    "x.npz": lambda path, x: np.savez(path, x),
    "compressed.npz": lambda path, x: np.savez_compressed(path, x=x),
    "x.csv": lambda path, x: pd.DataFrame(x).to_csv(path, index=False),
    "bare.csv": lambda path, x: pd.DataFrame(x).to_csv(path, index=False, header=False),
    "x.TSV": lambda path, x: pd.DataFrame(x).to_csv(path, index=False, sep="\t"),
    "x.pt": lambda path, x: torch.save(torch.from_numpy(x), path),
    "dict.pt": lambda path, x: torch.save({"x": torch.from_numpy(x)}, path),
    "old.pt": lambda path, x: torch.save(torch.from_numpy(x), path, _use_new_zipfile_serialization=False),
    "x.parquet": lambda path, x: pd.DataFrame(x, columns=["0", "1", "2"]).to_parquet(path),
}
FORMATS = [pytest.param(name, marks=PARQUET if name == "x.parquet" else ()) for name in WRITERS]


def refusal(path: Path, **arguments: Any) -> str:
    """The line with which a file is refused, with the directory left out."""
    with pytest.raises(ValueError) as error:
        read_table(path, **arguments)
    line = str(error.value)
    assert "\n" not in line
    return line.replace(f"{path.parent}/", "")


@pytest.fixture
def text(tmp_path: Path) -> Callable[..., Path]:
    def text(content: str | bytes, name: str = "x.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return text


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_format_returns_the_numbers_that_were_written(name: str, dtype: type, tmp_path: Path) -> None:
    x = X.astype(dtype)
    WRITERS[name](tmp_path / name, x)
    table = read_table(tmp_path / name)
    exact = name.endswith(("csv", "TSV"))  # text does not say its precision
    assert table.rows.dtype == (torch.float64 if exact or dtype is np.float64 else torch.float32)
    assert np.array_equal(table.rows.numpy().astype(dtype), x)
    assert table.names == ("0", "1", "2")
    assert count_rows(tmp_path / name) == 7
    chosen = read_table(tmp_path / name, columns=[2, "0"])
    assert torch.equal(chosen.rows, table.rows[:, [2, 0]])
    assert chosen.names == ("2", "0")
    assert torch.equal(read_table(tmp_path / name, exclude=[-1]).rows, table.rows[:, :2])


def test_a_csv_is_read_as_pandas_reads_it(text: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_csv, "CHUNK", 6)  # two rows
    path = text(CSV)
    table = read_table(path, columns=["c", "a"], exclude=["b"])
    assert table.names == ("c", "a")
    assert np.array_equal(table.rows.numpy(), pd.read_csv(path)[["c", "a"]].to_numpy())
    assert count_rows(path) == 7


@pytest.mark.parametrize(
    "content, rows",
    [
        ("\ufeffa,b\r\n1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),  # as Excel writes it
        ("a,b\r1,2\r3,4", [[1, 2], [3, 4]]),
        ("\n a , b\n\n1, 2\n  \n 3 ,4\n\n", [[1, 2], [3, 4]]),
        ('"a","b\nc"\n"1","2"\n3,4\n', [[1, 2], [3, 4]]),
        ("1,True\n-.5e1,false\n", [[1, 1], [-5, 0]]),
        ("a\n1\n2\n", [[1], [2]]),
        ("18446744073709551615,1\n-4,2\n", [[2.0**64, 1], [-4, 2]]),
        (f"{10**30},1\n-4,2\n", [[1e30, 1], [-4, 2]]),
        ("Größe,b\n1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("0,1\n1.5,2\n3,4\n", [[1.5, 2], [3, 4]]),  # names that pandas gives
        ("0\n1e3\n3\n", [[1000], [3]]),
        ("0,1,2,3,4\n1,2,3,4,5\n1,2,3,4,5\n", [[1, 2, 3, 4, 5]] * 2),
        ("0,1\n1,0\n", [[0, 1], [1, 0]]),
    ],
)
def test_forms_of_csv(content: str, rows: list[list[float]], text: Callable[..., Path]) -> None:
    path = text(content)
    assert read_table(path).rows.tolist() == rows
    assert count_rows(path) == 2


def test_text_columns_are_left_out_by_name(text: Callable[..., Path]) -> None:
    path = text('a,b,kind\n1,2,"one, or\ntwo"\n3,4,"5"" more"\n')
    table = read_table(path, exclude=["kind"])
    assert table.names == ("a", "b")
    assert table.rows.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "f2", "u4", "i8", "f4", ">f8", ">i2", "g"])
def test_types_of_numbers(dtype: str, tmp_path: Path) -> None:
    """float32 holds integers of at most 16 bits; all others become float64."""
    x = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    rows = read_table(tmp_path / "x.npy").rows
    assert rows.dtype == (torch.float32 if np.dtype(dtype).itemsize <= 2 or dtype == "f4" else torch.float64)
    assert np.array_equal(rows.numpy(), x.astype(np.float64))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.float8_e5m2, torch.int64])
def test_types_of_tensors(dtype: torch.dtype, tmp_path: Path) -> None:
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).to(dtype)
    torch.save({"x": x, "y": x[:, 0], "step": 3}, tmp_path / "x.pt")
    rows = read_table(tmp_path / "x.pt", key="x").rows
    assert rows.dtype == (torch.float64 if dtype == torch.int64 else torch.float32)
    assert rows.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_images_become_rows(name: str, order: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gaussgan.data import table_arrays

    monkeypatch.setattr(table_arrays, "BLOCK", 1)  # one row
    x = np.arange(5 * 2 * 3 * 4, dtype=np.uint8).reshape(5, 2, 3, 4)
    WRITERS[name](tmp_path / name, np.asarray(x, order=order))
    assert np.array_equal(read_table(tmp_path / name).rows, x.reshape(5, 24))
    assert np.array_equal(read_table(tmp_path / name, columns=[23, 1]).rows, x.reshape(5, 24)[:, [23, 1]])
    WRITERS[name](tmp_path / name, x[:, 0, 0, 0])
    assert read_table(tmp_path / name).rows.tolist() == [[24.0 * i] for i in range(5)]


def test_an_array_is_chosen_by_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", first=X, second=X[:5], words=np.array(["a"]))
    assert np.array_equal(read_table(tmp_path / "x.npz", key="second").rows, X[:5])
    assert count_rows(tmp_path / "x.npz", "first") == 7
    assert refusal(tmp_path / "x.npz") == (
        "data.key must choose one of the 3 arrays in x.npz: first, second, words; for the first, data.key=first"
    )
    assert refusal(tmp_path / "x.npz", key="secnd") == "data.key: x.npz has no array secnd; did you mean second?"
    assert refusal(tmp_path / "x.npz", key="loss").startswith("data.key: x.npz has no array loss (it has first, ")


@pytest.mark.parametrize(
    "content, line",
    [
        (b"", "data.path: x.csv is empty"),
        ("\n\n", "data.path: x.csv is empty"),
        ("a,b\n", "data.path: x.csv must have at least 2 rows (it has none)"),
        ("1,2\n", "data.path: x.csv must have at least 2 rows (it has one)"),
        (
            "a,b\n1,2\n\n3,4,5\n",
            "data.path: x.csv: every row must have as many cells as the first, 2 (line 4 has 3)",
        ),
        ("a,b\n1,2\n3\n", "data.path: x.csv: every row must have as many cells as the first, 2 (line 3 has 1)"),
        ('a,b\n1,"2\n"\n3\n', "data.path: x.csv: every row must have as many cells as the first, 2 (line 4 has 1)"),
        ("a,b\n1,2,\n3,4,\n", "data.path: x.csv: every row must have as many cells as the first, 2 (line 2 has 3)"),
        (
            "a,b\n1,2\n3,x y\n",
            "data.path: x.csv: a column is not numbers: b (text, 'x y' in row 2, line 3); to leave out:"
            " data.exclude=[b]",
        ),
        (
            "a,when,b (cm)\n1,2024-01-31,1\n3,,'\n",
            "data.path: x.csv: 2 columns are not numbers: when (a date, '2024-01-31' in row 1, line 2), b (cm) (text,"
            """ "'" in row 2, line 3); to leave out: "data.exclude=['when','b (cm)']\"""",
        ),
        (
            'a,b\n1,"1,234.5"\n3,4\n',
            "data.path: x.csv: a column is not numbers: b (a number with a comma, '1,234.5' in row 1, line 2); to"
            " leave out: data.exclude=[b]",
        ),
        (
            "a,b\n1,True\n3,4\n",
            "data.path: x.csv: a column is not numbers: b (text, 'True' in row 1, line 2); to leave out:"
            " data.exclude=[b]",
        ),
        (
            "a;b\n1,5;2\n3,5;4\n",
            "data.path: x.csv: columns must be separated by commas, and numbers must be written with a decimal point"
            " (line 1 has semicolons)",
        ),
        (
            "1 2\n3 4\n",
            "data.path: x.csv: columns must be separated by commas, and numbers must be written with a decimal point"
            " (line 1 has spaces)",
        ),
        (
            "a,b,c\n1,,2\n3,inf,4\n5,6,nan\n7,8,9\n",
            "data.path: x.csv: 3 of 4 rows have empty, NaN or infinite numbers (columns b, c); the first is row 1,"
            " line 2",
        ),
        (
            "a,b\n1,2\n\n3,-1e39\n5,6\n",
            "data.path: x.csv: 1 of 3 rows have numbers beyond ±3.4e+38, the range of float32 (column b); the first"
            " is row 2, line 4",
        ),
        (
            "a,b\n1,2\n3,1e400\n",
            "data.path: x.csv: 1 of 2 rows have empty, NaN or infinite numbers (column b); the first is row 2, line 3",
        ),
        ("a,b,a\n1,2,3\n3,4,5\n", "data.path: x.csv: column names must differ (a is the name of columns 0, 2)"),
        (
            ",a\n0,1\n1,2\n",
            "data.path: x.csv: column 0 has no name, so it may be the row numbers that pandas writes; leave it out"
            " with data.exclude=[0], or choose it in data.columns",
        ),
        (
            ",0,1\n0,1.5,2\n1,2.5,3\n",
            "data.path: x.csv: column 0 has no name, so it may be the row numbers that pandas writes; leave it out"
            " with data.exclude=[0], or choose it in data.columns",
        ),
        (
            "Größe,b\n1,2\n3,4\n".encode("latin-1"),
            "data.path: x.csv must be text in UTF-8 (byte 0xf6 is not); if it is in LATIN1: iconv -f LATIN1 -t UTF-8"
            " x.csv > new.csv",
        ),
        (
            "a,b\n1,2\n3,4\n".encode("utf-16"),
            "data.path: x.csv must be text in UTF-8 (byte 0xff is not); if it is in UTF-16: iconv -f UTF-16 -t UTF-8"
            " x.csv > new.csv",
        ),
    ],
)
def test_bad_csv(content: str | bytes, line: str, text: Callable[..., Path]) -> None:
    assert refusal(text(content)) == line


def test_a_text_far_below_is_found(text: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_csv, "CHUNK", 4)  # two rows
    path = text("a,b\n" + "1,2\n" * 8 + "\n\n1,oops\n")
    assert "b (text, 'oops' in row 9, line 12)" in refusal(path)


def test_a_damaged_csv(text: Callable[..., Path]) -> None:
    assert refusal(text('a,b\n1,2\n"3,4\n5,6\n')).startswith("data.path: x.csv: every row must have as many cells")
    assert refusal(text('a,b\n1,2\n3,"4\n5,6\n')).startswith("data.path: x.csv is damaged or is not a .csv file (Par")
    assert refusal(text("a,b\n1,2\x00\n3,4\n")).startswith(
        "data.path: x.csv: a column is not numbers: b (text, '2\\x00'"
    )
    assert refusal(text(gzip.compress(CSV.encode()))).startswith("data.path: x.csv must be text in UTF-8 (byte 0x8b")


@pytest.mark.parametrize(
    "arguments, line",
    [
        ({"columns": ["a", "A"]}, "data.columns: x.csv has no column A; did you mean a?"),
        ({"columns": ["loss"]}, "data.columns: x.csv has no column loss (its columns are a, b, c)"),
        ({"exclude": [3]}, "data.exclude: x.csv has no column 3 (its columns are a, b, c)"),
        ({"exclude": [-4]}, "data.exclude: x.csv has no column -4 (its columns are a, b, c)"),
        ({"columns": ["a", 0]}, "data.columns must name each column once (got 0 twice)"),
        ({"columns": "a"}, "data.columns must be a list of names or positions, such as [x,y] or [0,1] (got 'a')"),
        ({"columns": [True]}, "data.columns must be a list of names or positions (got True in it)"),
        ({"columns": []}, "data.columns must leave at least one column of x.csv"),
        ({"columns": ["a"], "exclude": ["a"]}, "data.exclude must leave at least one column of x.csv"),
        ({"exclude": [0, 1, 2]}, "data.exclude must leave at least one column of x.csv"),
        ({"key": "a"}, "data.key must be null for a .csv file (got a): it is for .npz and .pt"),
    ],
)
def test_bad_choices(arguments: dict[str, Any], line: str, text: Callable[..., Path]) -> None:
    assert refusal(text(CSV), **arguments) == line


def test_a_position_is_told_from_a_name(text: Callable[..., Path]) -> None:
    path = text("1,0,x\n2,3,4\n5,6,7\n", "x.csv")
    assert read_table(path, columns=["0"]).rows.tolist() == [[3], [6]]
    assert read_table(path, columns=[2]).rows.tolist() == [[4], [7]]
    assert refusal(path, columns=[0]) == (
        "data.columns must tell position 0 of x.csv from the column named 0: write the name at that position ('1'), or"
        " '0' in quotes"
    )


def test_what_is_left_out_is_added_to(text: Callable[..., Path]) -> None:
    line = refusal(text("a,b,c\n1,x,y\n2,x,y\n"), exclude=["b"])
    assert line.endswith("to leave out: data.exclude=[b,c]")
    assert refusal(text("1,2\n3,x\n")).endswith("to leave out: data.exclude=[1]")
    assert refusal(text("b,it's,c\n1,x,2\nx,2,2\n"), exclude=[0]).endswith("to leave out: data.exclude=[b,1]")


@pytest.mark.parametrize(
    "name", ["a b (cm)", "a,b", "c]d", "é", "a-b", "null", "1", "a.b", "a:b=c", "x\\", "nan", "-1"]
)
def test_the_hint_can_be_typed(name: str, text: Callable[..., Path]) -> None:
    path = text(f'a,"{name}",c\n1,x,2\n3,4,5\n')
    override = refusal(path).partition("to leave out: ")[2].strip('"')
    exclude = OverridesParser.create().parse_override(override).value()
    typed = [column.text if isinstance(column, QuotedString) else column for column in exclude]
    assert read_table(path, exclude=typed).names == ("a", "c")


@pytest.mark.parametrize(
    "array, line",
    [
        (np.array([[1, None], [2, 3]]), "must be an array of numbers (got Python objects, which are never unpickled)"),
        (np.array([["a", "b"], ["c", "d"]]), "must be an array of numbers (got text)"),
        (np.array([[1j], [2]]), "must be an array of numbers (got complex numbers)"),
        (np.array(["2024-01-31", "2024-02-01"], "M8[D]"), "must be an array of numbers (got dates)"),
        (np.zeros(2, [("a", "f4"), ("b", "f4")]), "must be an array of numbers (got records)"),
        (np.float64(3), "must be an array whose first dimension is rows (got one number)"),
        (np.zeros((0, 2)), "must have at least 2 rows (it has none)"),
        (np.zeros((1, 2)), "must have at least 2 rows (it has one)"),
        (
            np.array([[1, 2], [np.nan, 1], [-np.inf, 2]]),
            ": 2 of 3 rows have empty, NaN or infinite numbers (column 0); the first is row 2, index 1",
        ),
        (
            np.array([[1, 2], [1e300, 1]]),
            ": 1 of 2 rows have numbers beyond ±3.4e+38, the range of float32 (column 0); the first is row 2, index 1",
        ),
        (np.array([[np.longdouble(2) ** 5000], [0]]), ": 1 of 2 rows have empty, NaN or infinite numbers"),
    ],
)
def test_bad_arrays(array: np.ndarray, line: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert refusal(tmp_path / "x.npy").startswith(f"data.path: x.npy{'' if line.startswith(':') else ' '}{line}")
    np.savez(tmp_path / "x.npz", a=array)
    which = "" if "at least" in line or line.startswith(":") else ", array a"
    assert refusal(tmp_path / "x.npz").startswith(f"data.path: x.npz{which}{'' if line.startswith(':') else ' '}{line}")


def test_an_array_without_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 0)))
    assert refusal(tmp_path / "x.npy") == "data.path must leave at least one column of x.npy"


def test_a_small_file_does_not_become_a_large_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((1_000_000, 10), np.float32))
    assert (tmp_path / "x.npz").stat().st_size < 100_000
    monkeypatch.setattr(tables, "available_memory", lambda: 30e6)
    assert refusal(tmp_path / "x.npz") == (
        "data.path: x.npz: 1,000,000 rows of 10 columns need 0.0 GB of memory, but this machine has only 0.0 GB"
    )
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((1, 10_000_001), bool))
    assert refusal(tmp_path / "x.npz") == (
        "data.path: x.npz, array x must have at most 10,000,000 columns (got 10,000,001: its shape is [1, 10000001],"
        " and the first dimension is rows)"
    )


class Touch:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.pt", "pickle.npy", "pickle.npz", "pickle.pt", "old.pt"])
def test_nothing_is_unpickled(name: str, tmp_path: Path) -> None:
    target, path = tmp_path / "written", tmp_path / name
    if name.startswith("pickle"):
        path.write_bytes(pickle.dumps(Touch(target)))
    elif name.endswith(".pt"):
        torch.save({"x": torch.zeros(3, 2), "y": Touch(target)}, path, _use_new_zipfile_serialization=name == "x.pt")
    else:
        array = np.array([Touch(target), None], object)
        np.save(path, array) if name == "x.npy" else np.savez(path, array)
    assert refusal(path).startswith(f"data.path: {name}")
    assert not target.exists()


@pytest.mark.parametrize("name", [each for each in FORMATS if "sv" not in str(each.values[0]).lower()])
def test_truncated_files(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name, X)
    whole = (tmp_path / name).read_bytes()
    for size in (1, 7, len(whole) // 2, len(whole) - 1):
        (tmp_path / name).write_bytes(whole[:size])
        assert refusal(tmp_path / name).startswith(f"data.path: {name}")
    (tmp_path / name).write_bytes(bytes(200))
    assert refusal(tmp_path / name).startswith(f"data.path: {name}")


@pytest.mark.parametrize("name", ["x.npz", "compressed.npz", "x.pt"])
def test_a_changed_byte_is_noticed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    x = np.random.default_rng(0).standard_normal((1000, 4))
    WRITERS[name](path, x)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "is damaged or is not a" in refusal(path)


def test_a_npy_file_with_more_than_its_array(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.save(file, X)
        np.save(file, X)
    assert refusal(tmp_path / "x.npy").startswith("data.path: x.npy is damaged: an array of shape [7, 3] has 168 bytes")


def test_bad_tensors(tmp_path: Path) -> None:
    path, x = tmp_path / "x.pt", torch.zeros(3, 2)
    for content, line in [
        ({"x": x, "y": x}, "data.key must choose one of the 2 tensors in x.pt: x, y; for the first, data.key=x"),
        ([x], "data.path: x.pt must hold a tensor, or a dict of tensors (got list)"),
        ({"step": 3}, "data.path: x.pt has no tensor"),
        (x.to_sparse(), "data.path: x.pt must be an array of numbers (got a sparse tensor)"),
        (x.to("meta"), "data.path: x.pt must be an array of numbers (got a tensor without numbers)"),
        (x * 1j, "data.path: x.pt must be an array of numbers (got complex numbers)"),
        (torch.tensor(1.0), "data.path: x.pt must be an array whose first dimension is rows (got one number)"),
        (torch.nn.Linear(2, 2), "data.path: x.pt must hold only tensors: what needs code to be loaded is refused (Un"),
    ]:
        torch.save(content, path)
        assert refusal(path).startswith(line)
    torch.save(x, path)
    assert refusal(path, key="x") == "data.key must be null for x.pt, which holds one tensor (got x)"


def test_paths_that_are_no_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(Path("x.npy")) == f"data.path: there is no file x.npy in {tmp_path}"
    assert refusal(tmp_path / "x.npy") == "data.path: there is no file x.npy"
    (tmp_path / "x.txt").write_text("1")
    assert refusal(tmp_path / "x.txt") == "data.path must end in .npy, .npz, .csv, .tsv, .parquet or .pt (got x.txt)"
    (tmp_path / "x.npy").mkdir()
    assert refusal(tmp_path / "x.npy") == (
        "data.path must be a file (x.npy is a directory); for a folder of images: data=image_folder data.path=x.npy"
    )
    os.mkfifo(tmp_path / "pipe.csv")
    assert refusal(tmp_path / "pipe.csv") == "data.path must be a file (pipe.csv is a device or a pipe)"
    assert "cannot read" in refusal(tmp_path / ("x" * 300 + ".npy"))


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x.pt"])
def test_a_file_that_may_not_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    WRITERS[name](path, X)
    if os.geteuid() == 0:  # root may read everything

        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        for place in ("pathlib.io.open", "zipfile.io.open", "torch.load", "zipfile.is_zipfile"):
            monkeypatch.setattr(place, refuse)
    path.chmod(0)
    assert refusal(path) == f"data.path: cannot read {name} (Permission denied)"


def test_a_short_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", X)

    def fail(*_: Any) -> None:
        raise MemoryError("Unable to allocate 7.28 TiB for an array")

    monkeypatch.setattr(np, "empty", fail)
    assert refusal(tmp_path / "x.npy") == "data.path: x.npy: there is not enough memory (one array needs 7.28 TiB)"


def test_the_number_of_rows_is_remembered_until_the_file_changes(
    text: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    records = table_csv._records
    monkeypatch.setattr(table_csv, "_records", lambda *args: passes.append(args) or records(*args))
    path = text(CSV)
    assert [count_rows(path), count_rows(path), len(read_table(path).rows), len(passes)] == [7, 7, 7, 1]
    path = text(CSV + "1,2,3\n")
    assert [count_rows(path), len(passes)] == [8, 2]


def test_fingerprints_are_those_of_the_numbers(tmp_path: Path, text: Callable[..., Path]) -> None:
    np.save(tmp_path / "x.npy", X)
    rows = read_table(tmp_path / "x.npy").rows
    assert fingerprint(rows) == fingerprint(read_table(text(CSV)).rows)
    assert len(fingerprint(rows)) == 16
    others = [rows[:6], rows.flip(0), rows.float(), rows.reshape(3, 7), rows + 1e-9, rows[:, :2]]
    assert len({fingerprint(each) for each in [rows, *others]}) == 7
    assert fingerprint(rows[:, :2]) == fingerprint(rows[:, :2].contiguous())


@PARQUET
def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    table = pyarrow.table(
        {
            "a": pyarrow.array([1, 2, None], pyarrow.float32()),
            "a.b": pyarrow.array([1, 2, 3], pyarrow.uint8()),
            "big": pyarrow.array([2**53 + 1, -1, 0], pyarrow.int64()),
            "yes": [True, False, True],
            "price": pyarrow.array([1, 2, 3], pyarrow.decimal128(9, 2)),
            "list": [[1.0], [2.0], [3.0]],
            "when": pyarrow.array([1, 2, 3], pyarrow.date32()),
            "kind": pyarrow.array(["a", "b", "a"]).dictionary_encode(),
        }
    )
    parquet.write_table(table, path, row_group_size=2)
    read = read_table(path, columns=["price", "a.b", "yes", "big"])
    assert read.rows.dtype == torch.float64
    assert read.rows.tolist() == [[1, 1, 1, 2.0**53], [2, 2, 0, -1], [3, 3, 1, 0]]
    assert read_table(path, columns=["a.b", "yes"]).rows.dtype == torch.float32
    assert count_rows(path) == 3
    assert refusal(path, columns=["a"]) == (
        "data.path: x.parquet: 1 of 3 rows have empty, NaN or infinite numbers (column a); the first is row 3, index 2"
    )
    assert refusal(path) == (
        "data.path: x.parquet: 3 columns are not numbers: list (nested, list<element: double>), when (a date or time),"
        " kind (dictionary<values=string, indices=int32, ordered=0>); to leave out: data.exclude=[list,when,kind]"
    )
    pd.DataFrame({"x": [1.0, 2.0]}, index=[5, 6]).to_parquet(path)
    assert "column 1 has no name, so it may be the row numbers that pandas writes" in refusal(path)
    assert read_table(path, exclude=["__index_level_0__"]).names == ("x",)
    parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array([1, 2])] * 2, names=["a", "a"]), path)
    assert refusal(path) == "data.path: x.parquet: column names must differ (a is the name of columns 0, 1)"


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    assert refusal(tmp_path / "x.parquet").startswith(
        "data.path: a .parquet file needs the package pyarrow: pip install -c constraints.txt -e '.[parquet]' ("
    )
