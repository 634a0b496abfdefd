"""A word for "answer" announces it in any of the languages that have one here."""

import pytest

from evals.scoring.numbers import stated_number

WORDS = (
    "Réponse", "Réponses", "Reponse", "Antwort", "Lösung", "Respuesta", "Risposta", "Resposta", "Odpowiedź", "Odpowiedz",
    "Cevap", "Cevabı", "Yanıt", "Đáp án", "Trả lời", "Câu trả lời", "Jawaban", "Jawabannya", "Jibu", "Antwoord", "Svar", "Svaret",
    "Vastaus",
    "Válasz", "Odpověď", "Răspuns", "Răspunsul", "Ответ", "Ответом", "Відповідь", "Απάντηση", "Одговор", "Отговор", "الجواب",
    "الإجابة",
    "الاجابة", "जवाब", "उत्तर", "উত্তর", "জবাব", "คำตอบ", "సమాధానం", "జవాబు", "תשובה", "התשובה", "پاسخ", "جواب", "பதில்",
)  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_what_stands_behind_a_word_for_answer_is_the_answer(word):
    assert stated_number(f"{word}: 12\n\n7 + 5 = 12, 3 * 9 = 27") == "12"
