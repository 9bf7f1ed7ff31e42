"""Check the language of comments, docstrings and documents: `python -m tests.language` (`--verbose` lists every hit).

Fails above 1.0 dialect words per 1,000, for commit subjects over 72 characters since a6f4506 (if git has that commit),
and for document lines over 100 columns, except tables, code blocks and the addresses of links.
"""

import ast
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

PHRASES = """so_(many|much|few|long) such(?!_as) told tells? ask(s|ed|ing)? (who|what|which)ever anew stands?(?!-) stood
by_(itself|themselves) (leaves?|left|leaving)_alone (goes?|going|gone|went)_(on|past) (looks?|looking)_out beside made
(?-i:the_rest) portions? tak(es?|en|ing)_in (none|nothing|that|those)_of (some|any|every)body lately hence thus lest
shall be_had (write|writes|written)_down (gives?|given|giving)_back (is|are)_(what|to_be) of_(theirs|ours)"""
STARTS = r"(What|Who|Whose|That|Such|So|Nor)(?![^.\n]*\?)"  # of a sentence that is no question
DIALECT = re.compile(rf"\b((?i:{'|'.join(PHRASES.split())})|{STARTS})\b".replace("_", r"\s+"))
LINK, CODE = re.compile(r"https?://\S+|(?<=\])\([^)\s]*\)"), re.compile(r"``?[^`\n]+``?")
LOG = "git log --no-merges --format='commit %h: %s' a6f4506.. 2>/dev/null"  # prints nothing without git or the commit


def read_prose(path: Path) -> str:
    """Return the text of a file, with empty lines in place of code."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return re.sub(r"(?ms)^```.*?^```|^ {4}[^\n]*", lambda block: "\n" * block[0].count("\n"), text)
    prose = [""] * len(lines := text.splitlines())
    for token in tokenize.generate_tokens(iter(text.splitlines(keepends=True)).__next__):
        if token.type == tokenize.COMMENT:
            prose[token.start[0] - 1] = token.string.lstrip("#: ")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose[node.lineno - 1 : node.end_lineno] = lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(prose)


def main(*, verbose: bool) -> int:
    """Print the figure, the ten worst files and, if `verbose`, every hit. Return 1 if a limit is exceeded."""
    words, hits, wide = 0, list[str](), list[str]()
    sources = [path for path in Path().rglob("*.py") if path.parts[0] not in (".venv", "var")]
    for path in sorted([*sources, *Path().glob("*.md"), *Path("docs").rglob("*.md")]):
        text = LINK.sub("", read_prose(path))
        for number, line in enumerate(text.split("\n") if path.suffix == ".md" else [], 1):
            wide += [f"{path}:{number}: {len(line)} columns"] * (len(line) > 100 and line[0] != "|")
        text = CODE.sub("`", text)
        words += len(re.findall(r"[A-Za-z][A-Za-z'-]*", text))
        hits += [f"{path}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]!r}" for hit in DIALECT.finditer(text)]
    long = [line for line in subprocess.getoutput(LOG).splitlines() if len(line.partition(": ")[2]) > 72]
    worst, figure = Counter(hit.partition(":")[0] for hit in hits).most_common(10), 1000 * len(hits) / words
    print(*([*hits, *wide, *long] if verbose else []), *(f"{n:4} in {path}" for path, n in worst), sep="\n")
    print(f"{figure:.1f} per 1,000 ({len(hits)} of {words:,}), {len(wide)} wide lines, {len(long)} long subjects")
    return int(figure > 1.0 or bool(wide or long))


if __name__ == "__main__":
    sys.exit(main(verbose="--verbose" in sys.argv))
