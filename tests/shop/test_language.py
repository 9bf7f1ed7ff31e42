"""The language check counts prose, not code, and names what is too long."""

from pathlib import Path

import pytest

from tests import language

PLAIN = "The relay publishes each event and records the result. " * 20


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Run the check below `folder` and return its exit code and its lines."""
    monkeypatch.chdir(folder)
    code = language.main(verbose=True)
    return code, capsys.readouterr().out.splitlines()


def test_each_hit_is_listed_and_code_is_not_prose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.py").write_text(
        '"""Send\nso\nmany rows."""\n\ntold = "made"  # such as this\n# What it is.\n# What is it?\n'
    )
    (tmp_path / "README.md").write_text(f"`asked`\n```\ntold\n```\n    anew\nA whole new row was made.\n{PLAIN[:90]}\n")
    code, lines = run(tmp_path, monkeypatch, capsys)
    assert code == 1
    assert lines[:4] == ["README.md:6: 'made'", "a.py:2: 'so\\nmany'", "a.py:6: 'What'", "   2 in a.py"]
    assert lines[-1].endswith("0 wide lines, 0 long subjects")


def test_wide_lines_of_documents_fail_but_for_tables_code_and_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    link = f"[The page](https://example.org/{'x' * 90}) describes it."
    (tmp_path / "README.md").write_text(
        f"|{PLAIN}|\n```\n{PLAIN}\n```\n{link}\nA row: https://example.org/{'x' * 90}\n"
    )
    assert run(tmp_path, monkeypatch, capsys)[0] == 0
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text(PLAIN)
    code, lines = run(tmp_path, monkeypatch, capsys)
    assert (code, lines[0]) == (1, f"docs/b.md:1: {len(PLAIN)} columns")
