"""Where a response ends and a question that the model asks itself begins. Pure, linear in the length of the text.

A model that was shown examples goes on with one of its own: that is no longer its answer. A solution that restates the task
("Problem: …") or defines what it counts ("Q: quantity of eggs = 9") is. What stands before tells them apart: after an
answer comes a run-on, after an introduction or nothing a restatement.
"""

import re
from itertools import islice

from evals.scoring.thinking import spoken

_LABEL = re.compile(
    r"^(?P<mark>[ \t>*#_-]{0,6})(?:(?:next|new|another|follow-?up)[ \t])?"
    r"(?P<label>question|q|problem|exercise|user|human|input|instruction|问题|問題|题目|題目)"
    r"[ \t]?(?:\d{0,3}[ \t]?(?:\*\*|__)?[:：]|\d{1,3}\.(?=[ \t]))(?P<rest>[^\n]{0,400})",
    re.IGNORECASE | re.MULTILINE,
)
# Tokens that end a turn, where a tokenizer has left them in.
_END = re.compile(
    r"<\|(?:im_end|im_start|eot_id|endoftext|end_of_text|end|return|user|start_header_id)\|>"
    r"|</s>|<end_of_turn>|<start_of_turn>|<eos>|\[INST\]"
)
# What a model calls its reply, in a dialogue or in an example.
_REPLY = re.compile(
    r"^[ \t>*#_-]{0,6}(?:answer|a|assistant|ai|bot|response|reply|output|答案|答)[ \t]?\d{0,3}(?:\*\*|__)?[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_ANNOUNCED = re.compile(
    r"####\s{0,3}\S|\\boxed\s?\{|<(?:final_?)?answer>|(?:答案|答え)[^\n]{0,10}?[是为為は:：]"
    r"|\banswers?\b[^.\n:=?!]{0,60}?(?:\b(?:is|are|was|equals)\b|[:=])(?:\*\*|__)?\s{0,3}(?!\s)"
    r"(?!(?:what|which|to|not|unknown|asked|found|needed|required|given|the|as|in|a)\b)[^\s?]",
    re.IGNORECASE,
)
_INTRODUCES = re.compile(
    r"\b(?:let(?:['’]?s| me| us)|i(?:['’]ll| will| need| have to)|we(?:['’]re| are| need| have to| want)|given"
    r"|to (?:solve|find|answer)"
    r"|here(?:['’]s| is)|sure|okay|ok|certainly|of course|first|restat\w+|understand\w*|step|great|good|thanks?|hello|hi"
    r"|(?:the|this) (?:problem|question|task|exercise)|below|following|solution|analysis|explanation|reasoning)\b",
    re.IGNORECASE,
)
_CALCULATES = re.compile(r"=\s{0,3}[$€£¥]?-?\d|\b(?:therefore|thus|hence|in total|altogether)\b", re.IGNORECASE)
# A number, a letter or a word that is an answer by itself.
_BARE = re.compile(r"[($]{0,2}(?:[A-Z]|-?[\d.,/]{1,20}|yes|no|true|false)\W{0,3}", re.IGNORECASE)
_HEADING = re.compile(r"^[ \t]*(?:#{1,6} [^\n]{0,200}|\*\*[^*\n]{0,200}\*\*:?|-{3,})[ \t]*$", re.MULTILINE)
# What introduces a restatement is no longer than this.
_INTRODUCTION = 400
# Labels of one response that are looked at.
_MOST_LABELS = 200


def answer_part(response: str) -> str:
    """Return what a response answers: without what is thought aloud, up to where the model asks itself another question."""
    text = _one_turn(spoken(response))
    begin = len(text) - len(text.lstrip()) + 1
    found = _ANNOUNCED.search(text)
    announced = found.end() if found else len(text) + 1
    after = [max((m.start() for m in kind.finditer(text)), default=-1) for kind in (_REPLY, _ANNOUNCED)]
    for label in islice(_LABEL.finditer(text, begin), _MOST_LABELS):
        if _is_run_on(text, label, announced, *after):
            return text[: label.start()]
    return text


def _one_turn(text: str) -> str:
    """Return a text up to the first token that ends a turn in which something was said."""
    for end in _END.finditer(text):
        if _END.sub("", text[: end.start()]).strip():
            return text[: end.start()]
        if end.start() > _INTRODUCTION:
            break
    return text


def _is_run_on(text: str, label: re.Match[str], announced: int, last_reply: int, last_announced: int) -> bool:
    """Return whether a label begins a question that the model asks itself.

    Args:
        text: all of it.
        label: where it may be cut.
        announced: where the first announcement of an answer ends.
        last_reply, last_announced: where the last reply and announcement begin; -1 of none.
    """
    name, rest = label["label"].lower(), label["rest"]
    if name == "q" and "=" in rest and "?" not in rest:
        return False
    if announced <= label.start():
        return True
    before = _HEADING.sub("", text[max(0, label.start() - 4 * _INTRODUCTION) : label.start()]).strip(" \t\n*#>_-")
    if not before or before.endswith((":", "：")):
        return False
    if _BARE.fullmatch(before):
        return True
    works = _CALCULATES.search(before) is not None
    if not works and label.start() <= _INTRODUCTION and _INTRODUCES.search(before):
        return False
    replies, announces = last_reply > label.start(), last_announced > label.start()
    if "*" in label["mark"] or "#" in label["mark"]:
        # Examples are copied as they were shown, in plain text: headings are a layout of one's own.
        return works and replies
    asks = name not in ("input", "instruction", "user", "human") or "?" in rest
    return replies or (asks and not announces)
