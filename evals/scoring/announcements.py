"""What announces an answer in languages other than English, Chinese, Japanese and Korean, which evals/scoring/text.py has itself.

Those of MGSM (Shi et al., 2022: Bengali, German, Spanish, French, Russian, Swahili, Telugu, Thai) and some that are spoken
widely. A word for "answer" counts with a colon, a verb or a number behind it.
"""

_LATIN = (
    r"r(?:é|e\u0301|e)ponses?", "antwort(?:en)?", "lösung",
    "respuestas?", "rispost[ae]", "respostas?", "odpowiedź", "odpowiedz", "cevap", "cevabı",
    "yanıt", r"(?:đáp án|trả lời|câu trả lời)", "jawaban(?:nya)?", "jibu",
    "antwoord", "svar(?:et)?", "vastaus", "válasz", "odpověď",
    "răspuns(?:ul)?", "ответ(?:ом)?", "відповідь", "απάντηση", "одговор", "отговор",
)  # fmt: skip
_OTHER = (
    "الجواب",
    "الإجابة",
    "الاجابة",
    "जवाब",
    "उत्तर",
    "উত্তর",
    "জবাব",
    "คำตอบ",
    "సమాధానం",
    "జవాబు",
    "תשובה",
    "התשובה",
    "پاسخ",
    "جواب",
    "பதில்",
)
_VERBS = (
    r"(?:ist|lautet|es|est|è|e['’]|é|to|jest|là|adalah|ialah|ni|is|är|er|on|este|je|равен|является|هو|هي|है|হল|হলো|হচ্ছে"
    r"|คือ|เป็น|—|–|-)"
)
_BEHIND = rf"[^.\n:=?!\d]{{0,40}}?(?:\s?[:=।]|ঃ|\s?(?:คือ|เป็น)|\s{_VERBS}(?=\s))"
# With the colon that may stand behind the verb.
ANNOUNCEMENTS = (
    rf"(?:(?<!\w)(?:{'|'.join(_LATIN)})(?!\w)|(?:{'|'.join(_OTHER)}))"
    rf"(?:{_BEHIND}|(?=\s+[-$(]{{0,2}}\d)|(?=\s*\*\*))(?:[ \t]*[:=])?"
)
