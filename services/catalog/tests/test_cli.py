"""The command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from catalog.bootstrap import App
from catalog.cli import main
from catalog.use_cases.import_catalogue import demo_catalogue
from catalog.use_cases.list_products import list_products
from chassis.persistence import Database


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    monkeypatch.setenv("CATALOG_DATABASE_URL", url)
    monkeypatch.delenv("CATALOG_CURRENCY", raising=False)
    return url


@pytest.fixture
def file(tmp_path: Path, sound: str) -> Path:
    file = tmp_path / "catalogue.yaml"
    file.write_text(sound)
    return file


def stored(url: str) -> list[str]:
    database = Database(url)
    try:
        return [item["sku"] for item in list_products(App(database))["items"]]
    finally:
        database.close()


def test_import_says_what_it_did(url: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(file)]) == 0
    assert capsys.readouterr().out == (
        "categories: 3 added, 0 changed, 0 unchanged, 0 retired\n"
        "products: 2 added, 0 changed, 0 unchanged, 0 retired\n"
        "terms: 1 added, 0 changed, 0 unchanged, 0 retired\n"
        "tax_rates: 0 added, 0 changed, 0 unchanged, 0 retired\n"
    )
    assert main(["import", str(file)]) == 0
    assert "products: 0 added, 0 changed, 2 unchanged, 0 retired" in capsys.readouterr().out
    assert stored(url) == ["BOX", "PACK"]


def test_import_retires_what_is_missing_where_asked(
    url: str, file: Path, sound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["import", str(file)])
    start, end = sound.index("  - sku: BOX"), sound.index("terms:")
    file.write_text(sound[:start] + sound[end:])
    assert main(["import", "--retire-missing", str(file)]) == 0
    assert "products: 0 added, 0 changed, 1 unchanged, 1 retired" in capsys.readouterr().out
    assert stored(url) == ["PACK"]


def test_import_names_every_error_and_changes_nothing(
    url: str, file: Path, sound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(sound.replace("credits: 120", "credits: 0").replace("sku: BOX", "sku: box"))
    assert main(["import", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"{file}:16: products.0.credits: A credit_pack must bring credits.",
        f"{file}:23: products.1.sku: Use capitals and digits, joined by single - . or _.",
        "2 problems; nothing was imported",
    ]
    assert stored(url) == []


def test_check_needs_no_database(
    file: Path, sound: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CATALOG_DATABASE_URL", raising=False)
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == "all right (categories: 3, products: 2, terms: 1)\n"
    file.write_text(sound.replace("kind: hardware", "kind: [hardware"))
    assert main(["check", str(file)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{file}:28: Not YAML or JSON: ")
    assert said.endswith("\n1 problem\n")


def test_check_reads_the_currency_of_the_store(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CATALOG_CURRENCY", "EUR")
    assert main(["check", str(file)]) == 1
    assert f"{file}:28: products.1.prices: There is no price in EUR" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_an_error(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml: No such file or directory" in capsys.readouterr().err
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("categories: []\n# pr\u00fcfen\n".encode("latin-1"))
    assert main(["check", str(latin)]) == 1
    assert f"{latin}:2: the text is not UTF-8" in capsys.readouterr().err


def test_a_byte_order_mark_does_no_harm(file: Path, sound: str) -> None:
    file.write_text(sound, encoding="utf-8-sig")
    assert main(["check", str(file)]) == 0


def test_a_missing_database_is_a_clear_error(
    url: str, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, words in [
        ("", "CATALOG_DATABASE_URL is not set"),
        ("nonsense", "does not answer"),
        ("sqlite:////no/such/folder/catalog.db", "does not answer"),
        ("postgresql+psycopg2://nobody@127.0.0.1:1/none", "does not answer"),
    ]:
        monkeypatch.setenv("CATALOG_DATABASE_URL", wrong)
        assert main(["import", str(file)]) == 1
        said = capsys.readouterr().err
        assert words in said
        assert "nobody" not in said


@pytest.mark.parametrize("arguments", [[], ["export"], ["import"], ["check", "--retire-missing", "x"]])
def test_wrong_usage_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: catalog" in capsys.readouterr().err


def test_it_runs_as_a_program(url: str, tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text(demo_catalogue(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "catalog.cli", "import", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "products: 9 added" in done.stdout
    assert len(stored(url)) == 9
