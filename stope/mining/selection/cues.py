"""Cues: words and forms that give away what a sentence does, whatever it is about.

A sentence embedding says mostly what a sentence is about. What it does (asks, tells a story,
advertises, claims) shows in small words; each cue here is one such sign, present or not.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

CUES_VERSION = 1
"""Part of the selector's identity: raise it when a cue changes."""

_KIN = (
    r"brother|sister|aunt|uncle|mother|father|mum|mom|dad|wife|husband|partner|neighbou?r|friend|"
    r"boss|daughter|son|kids?|cousin|doctor|teacher|colleague|roommate|flatmate|dog|cat|"
    r"grand\w+"
)

_PATTERNS = (
    # Questions, also where ASR lost the mark.
    r"\?\W*$",
    (
        r"^(?:so |and |but |well |now |okay |or )?(?:what|why|how|who|when|where|which|is|are|do|"
        r"does|did|can|could|would|should|will|have|has|was|were|isn't|aren't|don't|doesn't)\b"
    ),
    # Greetings and introductions.
    (
        r"\b(?:hello|hi|welcome|thank you|thanks|goodbye|bye|"
        r"good (?:morning|evening|afternoon|night)|my guest|our guest|"
        r"joining (?:us|me)|with (?:me|us) today|glad to be|pleasure)\b"
    ),
    # Requests.
    (
        r"\b(?:tell us|tell me|let's|let us|please|go on|stay with|take us|walk us|explain|give us|"
        r"give me|describe|remind us|help us|hold that)\b"
    ),
    # Sponsors and pleas.
    (
        r"\b(?:sponsor\w*|supported by|support comes|brought to you|promo|code|percent off|"
        r"free trial|dot com|subscribe|newsletter|checkout|discount|coupon|rate us|review|"
        r"first (?:bag|box|month|order|week|delivery)|our listeners|listeners get|"
        r"free (?:shipping|delivery))\b"
    ),
    # Who the sentence is about.
    r"\bi\b",
    r"\b(?:my|mine|me|myself)\b",
    r"\b(?:we|our|us)\b",
    r"\byou(?:r)?\b",
    r"\b(?:he|she|him|her|his)\b",
    r"\b(?:they|it|this|that|these|those)\b",
    rf"\b(?:my|our) (?:\w+ )?(?:{_KIN})\b",
    # Musing without commitment.
    (
        r"\b(?:maybe|perhaps|who knows|i wonder|hard to say|no idea|not sure|could be|might|"
        r"i guess|i suppose|don't know|do not know|"
        r"can't say|couldn't say|anyone's guess|hard to tell)\b"
    ),
    # Quantities.
    (
        r"\d|\b(?:percent|hundred|thousand|million|billion|half|third|quarter|twice|double|dozen|"
        r"tenth|fifth)\b"
    ),
    # The future.
    r"\b(?:will|won't|going to|by (?:20|twenty)|within|next (?:year|decade|ten|five|few))\b",
    # Norms and evaluations.
    (
        r"\b(?:should|shouldn't|must|ought|need to|needs to|has to|have to|better|worse|worst|best|"
        r"too (?:small|many|much|few|little|high|low|slow|expensive|long|short))\b"
    ),
    # Causes and conditions.
    (
        r"\b(?:because|so that|leads? to|causes?|caused|therefore|which is why|that is why|if|when|"
        r"means that|makes?|since)\b"
    ),
    # Definitions.
    r"\b(?:is|are) (?:a|an|the|when|any|what|just|simply|basically)\b",
    r"\b(?:means|called|refers to|stands for|is defined|we mean|by definition)\b",
    # Talk about the conversation.
    (
        r"\b(?:later|before the break|after the break|come back|as i said|as you said|mentioned|"
        r"episode|show|chapter|second half|next up|in a moment|turn to|topic|my book|earlier)\b"
    ),
    # Stories.
    (
        r"\b(?:yesterday|last (?:night|week|summer|winter|year|month|spring|autumn|fall)|once|"
        r"one day|one (?:morning|evening|night)|"
        r"years ago|when i was|that (?:morning|night|day|evening)|"
        r"and then|so then|told me|asked me|called me)\b"
    ),
    r"\b\w{2,}ed\b",
    # Sources.
    (
        r"\b(?:according to|studies|study|research|researchers|scientists|data|report|trial|"
        r"measured|survey|found that|evidence)\b"
    ),
    r"\bi (?:think|believe|expect|predict|am convinced|would argue|would say|reckon)\b",
    # Reactions.
    (
        r"\b(?:right|exactly|wow|fascinating|interesting|fair enough|sure|yeah|yes|no|hmm|um|well|"
        r"okay|indeed|absolutely|amazing)\b"
    ),
)

_COMPILED = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _PATTERNS)

COUNT = len(_COMPILED) + 4
"""Cues in all: the patterns, and four of length."""


def cues_of(sentence: str) -> NDArray[np.float32]:
    """Which cues a sentence shows: 0 or 1 each, shape ``(COUNT,)``."""
    words = len(sentence.split())
    found = [pattern.search(sentence) is not None for pattern in _COMPILED]
    return np.array([*found, words <= 3, words <= 6, words >= 12, words >= 20], dtype=np.float32)
