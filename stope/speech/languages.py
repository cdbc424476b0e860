"""The languages that Whisper knows: servers name them in English, we by ISO 639-1."""

from __future__ import annotations

_NAMES = (
    "af afrikaans, am amharic, ar arabic, as assamese, az azerbaijani, ba bashkir, be belarusian, "
    "bg bulgarian, bn bengali, bo tibetan, br breton, bs bosnian, ca catalan, cs czech, cy welsh, "
    "da danish, de german, el greek, en english, es spanish, et estonian, eu basque, fa persian, "
    "fi finnish, fo faroese, fr french, gl galician, gu gujarati, ha hausa, haw hawaiian, "
    "he hebrew, hi hindi, hr croatian, ht haitian creole, hu hungarian, hy armenian, "
    "id indonesian, is icelandic, it italian, ja japanese, jw javanese, ka georgian, kk kazakh, "
    "km khmer, kn kannada, ko korean, la latin, lb luxembourgish, ln lingala, lo lao, "
    "lt lithuanian, lv latvian, mg malagasy, mi maori, mk macedonian, ml malayalam, mn mongolian, "
    "mr marathi, ms malay, mt maltese, my myanmar, ne nepali, nl dutch, nn nynorsk, no norwegian, "
    "oc occitan, pa punjabi, pl polish, ps pashto, pt portuguese, ro romanian, ru russian, "
    "sa sanskrit, sd sindhi, si sinhala, sk slovak, sl slovenian, sn shona, so somali, "
    "sq albanian, sr serbian, su sundanese, sv swedish, sw swahili, ta tamil, te telugu, "
    "tg tajik, th thai, tk turkmen, tl tagalog, tr turkish, tt tatar, uk ukrainian, ur urdu, "
    "uz uzbek, vi vietnamese, yi yiddish, yo yoruba, yue cantonese, zh chinese"
)

_CODE_OF = {name: code for code, name in (entry.split(" ", 1) for entry in _NAMES.split(", "))} | {
    "burmese": "my",
    "castilian": "es",
    "flemish": "nl",
    "mandarin": "zh",
    "valencian": "ca",
}

_CODES = frozenset(_CODE_OF.values())


def language_code(said: str) -> str | None:
    """The code for what a server calls a language (``english``, ``en`` or ``en-US``), if known."""
    name = said.strip().lower()
    if name in _CODE_OF:
        return _CODE_OF[name]
    code = name.replace("_", "-").split("-")[0]
    return code if code in _CODES else None
