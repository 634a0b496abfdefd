"""The examples of docs/serving.md, against a server."""

import re
from pathlib import Path

from support.serving import serving, smoke

PAGE = Path(__file__).resolve().parents[3] / "docs/serving.md"


def test_the_examples_of_the_page_run(capsys):
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 2
    with serving({"debaters/experts": smoke()}) as served:
        for example in examples:
            code = example.replace("http://127.0.0.1:8000/v1", served.url)
            exec(compile(f"{code}\nclient.close()", "docs/serving.md", "exec"), {})
    whole, streamed = capsys.readouterr().out.split("ada, round 1:", 1)
    assert "ada has the lowest temperature, 0.15" in whole
    assert streamed.count("round ") == 5
    assert "Answer: " in streamed.splitlines()[-1]
