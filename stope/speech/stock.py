"""Stock phrases: what Whisper writes over silence, noise and music, learnt from subtitles.

The list is of phrases that people also say. So they are doubtful only where hardly any speech is,
or where the recognizer itself hardly believes them; only credits of subtitlers are always so.
"""

from __future__ import annotations

import re

from stope.wording import normalise

_PHRASES = (
    "you",
    "okay",
    "bye",
    "bye bye",
    "so",
    "oh",
    "mm hmm",
    "thank you",
    "thank you very much",
    "thank you so much",
    "thanks",
    "thanks for watching",
    "thank you for watching",
    "thanks for listening",
    "thank you for listening",
    "please subscribe",
    "like and subscribe",
    "please subscribe to my channel",
    "do not forget to subscribe",
    "don't forget to subscribe",
    "see you next time",
    "see you in the next video",
    "i'll see you in the next video",
    "we'll be right back",
    "the end",
    "music",
    "applause",
    "vielen dank",
    "vielen dank fürs zuschauen",
    "danke fürs zuschauen",
    "danke",
    "tschüss",
    "bis zum nächsten mal",
    "merci",
    "merci d'avoir regardé cette vidéo",
    "merci d'avoir regardé",
    "gracias",
    "gracias por ver el video",
    "gracias por ver",
    "obrigado",
    "grazie",
    "grazie a tutti",
    "dank u wel",
    "спасибо за просмотр",
    "продолжение следует",
    "ご視聴ありがとうございました",
    "谢谢大家",
    "谢谢观看",
    "시청해주셔서 감사합니다",
)

_CREDITS = re.compile(
    r"(?:subtitles?|captions?|subtitled|captioned|transcri(?:bed|ption)|translated|translation)"
    r" by\b"
    r"|amara org|otter ai|opensubtitles|copyright wdr|copyright zdf|untertitel (?:der|im auftrag)"
    r"|sous titr\w+ (?:par|réalisés)|sous titrage|subtítulos (?:por|realizados)"
    r"|sottotitoli (?:di|creati|e revisione)|legendas pela|редактор субтитров|字 幕"
)

STOCK_PHRASES = frozenset(" ".join(normalise(phrase)) for phrase in _PHRASES)


def is_stock_phrase(sentence: str) -> bool:
    """Whether a whole sentence is a stock phrase."""
    return " ".join(normalise(sentence)) in STOCK_PHRASES


def is_credit(sentence: str) -> bool:
    """Whether a sentence names who made subtitles, which nobody says."""
    return _CREDITS.search(" ".join(normalise(sentence))) is not None
