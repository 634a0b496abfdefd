"""The scoring process: reads requests as JSON lines, writes replies. Started by `bounded`, never imported.

It limits its own memory; its time is limited from outside. No text it is given is run as code: math-verify is used with
its LaTeX reader alone, and the verifiers of reasoning-gym as evals/scoring/reasoning_gym.py guards them.
"""

import contextlib
import json
import os
import re
import sys
from typing import Any

MEMORY_BYTES = 4 << 30


def main() -> None:
    """Answer requests until the input ends."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # Libraries print: what is not a reply goes where nobody reads.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = _answer(request)
        except ModuleNotFoundError as error:
            reply = {"missing": error.name}
        except Exception as error:
            # What a library makes of one answer is that answer's affair: the process goes on with the next.
            reply = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
        print(json.dumps(reply), file=replies, flush=True)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "math":
        from evals.scoring.exact import equal

        return {"equal": equal(request["answer"], request["target"])}
    if request["do"] == "regex":
        return {"found": re.search(request["pattern"], request["text"]) is not None}
    from evals.scoring.reasoning_gym import credit, questions

    place = (request["task"], request["size"], request["seed"])
    if request["do"] == "generate":
        return {"questions": questions(*place, request["count"])}
    return credit(*place, request["index"], request["answer"])


if __name__ == "__main__":
    main()
