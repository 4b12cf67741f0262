"""What the terms of a judging report mean: one plain sentence each, given once, where the term first stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from application.judging_report.texts import Language

_ENGLISH: Final[Mapping[str, str]] = {
    r"95 %": "A 95 % interval is the range in which the true value lies in about 95 of 100 such cases.",
    r"\blogits?\b": (
        "A logit is the unit of the scores: of two texts that are 1 logit apart, the higher one is chosen in 73 % of comparisons."
    ),
    r"\binfit\b": (
        "Infit tells how far decisions differ from what the scores predict: about 1 is as expected, larger values mean more "
        "surprises."
    ),
    r"\boutfit\b": "Outfit is like infit, but a few very surprising decisions are enough to raise it.",
    r"\bsplit-half\b": "Split-half reliability tells how alike the scores are that two halves of the judges give.",
    r"\bFirth\b|\bpenalised score\b": (
        "A penalised score (Firth's method) is computed so that it stays moderate where decisions are few or all go one way."
    ),
    r"(?<!full )\bstandard error\b": (
        "The standard error tells how far a number is typically off by chance; a 95 % interval reaches about two of them to "
        "either side."
    ),
    r"\bfull standard error\b": "The full standard error counts, too, that the scores of the other texts are uncertain.",
    r"\bplaces within the error\b": "Places within the error are those that a text could have, by its 95 % interval.",
    r"\bverdict\b": (
        "A judge deviates when the agreement lies below its limit or infit above its limit, and is contrary when the agreement "
        "is below 50 %; with too few decisions the report cannot tell."
    ),
    r"\bp value\b": (
        "The p value is how often a judge without a preference would come out as far from 50 %, or further, by chance."
    ),
    r"\bprobability\b": "The probability is how often, by the scores, the chosen text would win this comparison.",
}
_SWEDISH: Final[Mapping[str, str]] = {
    r"95-procentig|95 %": "Ett 95-procentigt intervall är det område där det sanna värdet ligger i ungefär 95 av 100 sådana fall.",
    r"\blogits?\b": (
        "En logit är poängens enhet: av två texter som ligger 1 logit isär väljs den högre i 73 % av jämförelserna."
    ),
    r"\binfit\b": (
        "Infit säger hur mycket besluten avviker från vad poängen förutsäger: omkring 1 är väntat, större värden betyder fler "
        "överraskningar."
    ),
    r"\boutfit\b": "Outfit är som infit, men några få mycket överraskande beslut räcker för att höja det.",
    r"\bdelningsreliabilitet\b": (
        "Delningsreliabiliteten säger hur lika poängen blir som två hälfter av bedömarna ger."
    ),
    r"\bFirth\b|\bstraffade? poäng": (
        "En straffad poäng (Firths metod) beräknas så att den förblir måttlig där besluten är få eller alla går åt ett håll."
    ),
    r"(?<!fullt )\bmedelfel\b": (
        "Medelfelet säger hur mycket ett tal typiskt slår fel av en slump; ett 95-procentigt intervall når ungefär två medelfel "
        "åt vardera hållet."
    ),
    r"\bfullt medelfel\b": "Det fulla medelfelet räknar också med att de andra texternas poäng är osäkra.",
    r"\bplatser inom felet\b": "Platser inom felet är de som texten kan ha enligt sitt 95-procentiga intervall.",
    r"\butfall\b": (
        "En bedömare avviker när enigheten ligger under sin gräns eller infit över sin gräns, och dömer tvärtom när enigheten "
        "är under 50 %; med för få beslut går det inte att säga."
    ),
    r"\bp-värde": (
        "P-värdet är hur ofta en bedömare utan förkärlek av en slump skulle hamna så långt från 50 %, eller längre."
    ),
    r"\bsannolikhet\b": "Sannolikheten är hur ofta den valda texten enligt poängen skulle vinna jämförelsen.",
}
TERMS: Final = {Language.ENGLISH: _ENGLISH, Language.SWEDISH: _SWEDISH}
"""By language: the sentence that explains a term, by the pattern that finds the term in a text."""


class Explained:
    """Remembers which terms a report has explained."""

    def __init__(self, language: Language) -> None:
        self._left = dict(TERMS[language])

    def first_in(self, *texts: str) -> list[str]:
        """The sentences on terms that occur in `texts` and in none before."""
        written = "\n".join(texts)
        found = [term for term in self._left if re.search(term, written, re.IGNORECASE)]
        return [self._left.pop(term) for term in found]
