"""The words of a judging report in Swedish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from domain.notices import Kind

TEXTS: Final[Mapping[str, str]] = {
    "report": "Bedömningsrapport",
    "untitled": "Jämförande bedömning av {items:text|texter~}",
    "job_title": "Bedömningsomgång {job}",
    "summary": "{decisions:beslut|beslut~} om {items:text|texter~} av {judges:bedömare|bedömare~}.",
    "intro": (
        "Bedömarna såg två texter i taget och valde den bättre. Alla val tillsammans ger varje text en poäng. Poängen säger var "
        "en text står bland dessa texter; den är varken ett betyg eller ett antal rätt."
    ),
    "trust": "Vad man bör veta innan man litar på siffrorna",
    "nothing": "Ingen kontroll gav skäl till misstro.",
    "reliability_positive": (
        "Poängens reliabilitet (SSR, scale separation reliability) är {ssr}: enligt modellen själv är den andelen av "
        "skillnaderna mellan poängen verklig och resten slump. 1 är det högsta möjliga; 0,8 brukar krävas."
    ),
    "reliability_negative": (
        "Poängens reliabilitet (SSR, scale separation reliability) är {ssr}, alltså under 0: poängen skiljer sig mindre än "
        "enbart deras fel skulle göra. Ingen av skillnaderna räknas som verklig; 0,8 brukar krävas."
    ),
    "reliability_none": "Det finns inget gemensamt mått på reliabilitet: alla texter hänger inte ihop, eller alla poäng är lika.",
    "table": "Tabellen bakom figuren",
    "not_printed": "Tabellen har {n:rad|rader~} och skrivs inte ut. Den finns i filen som den här sidan skrevs ut från.",
    "scores": "Poäng med 95-procentiga intervall",
    "scores_say": (
        "Ju längre till höger, desto bättre bedömdes texten. Där linjer överlappar är ordningen osäker: {item}, på "
        "första plats, kan höra hemma var som helst från plats {best} till {worst} av {n}."
    ),
    "scaled": "Poäng på en skala, och betyg",
    "scaled_says": (
        "Samma poäng i andra enheter. Den sanna poängen är den andel av jämförelserna som en text väntas vinna mot alla "
        "andra texter, gånger 100. Betygen kommer från den här omgångens ankartexter; publicerade betyg är andras arbete."
    ),
    "boundaries": "Betygsgränser",
    "boundaries_say": "En gräns ligger mitt emellan ankartexterna för två grannbetyg.",
    "boundaries_unclear": (
        "En gräns ligger mitt emellan ankartexterna för två grannbetyg. Där ankartexter för ett högre betyg inte bedömdes "
        "som bättre finns ingen gräns: sätt inga betyg efter dessa ankartexter."
    ),
    "no": "nej",
    "logits": "poäng (vid skillnaden 1 väljs den högre i 73 % av jämförelserna)",
    "forward": "Gick besluten att förutsäga?",
    "forward_good": (
        "Ja. Varje beslut förutsades enbart från tidigare beslut, oftare rätt än vid slantsingling: bedömarna ser "
        "skillnad mellan texterna."
    ),
    "forward_bad": (
        "Nej. Förutsagda enbart från tidigare beslut blev de inte bättre än slumpen. Lita inte på poängen."
    ),
    "forward_unknown": (
        "Det går inte att säga: besluten skiljer inte säkert bedömare som ser en skillnad från slantsingling. Bedöm fler par, "
        "helst slumpade."
    ),
    "found": "rätt förutsagda",
    "promised": "utlovat av poängen",
    "chance": "slantsingling",
    "share_predicted": "andel av besluten",
    "growth": "Hur reliabiliteten växte",
    "growth_says": "Där linjen har planat ut ger fler beslut av samma slag inte mycket. Den streckade linjen ligger vid 0,8.",
    "item_infit": "Texter som bedömarna inte är eniga om (infit)",
    "misfits_none": "Ingen text sticker ut: omkring 1 är väntat, och ingen ligger bortom den streckade linjen.",
    "misfits_some": "{n:text|texter~} ligger bortom den streckade linjen: besluten där stämmer dåligt med poängen. Värt att läsa igen.",
    "judges": "Är varje bedömare enig med de andra?",
    "judges_none": "Ingen bedömare hittades som tydligt beslutar annorlunda än de andra.",
    "judges_some": "Nej. {names} beslutade annorlunda än de övriga. Tala med dem, eller se på poängen utan dem.",
    "agreement": "andel beslut som de andra bedömarna skulle ha fattat dem",
    "position": "Föredras texten som visas först?",
    "position_none": "Nej: ingen bedömare väljer den första eller den andra texten tydligt oftare än varannan gång.",
    "position_some": "För {names} avgör platsen, inte bara texten: den streckade linjen ligger vid 50 %, och deras intervall ligger vid sidan av den.",
    "share_first": "andel beslut för texten som visades först",
    "matrix": "Vem vann mot vem",
    "matrix_says": (
        "Varje ruta visar hur ofta radens text valdes framför kolumnens text; tomma rutor jämfördes inte. Texterna står i "
        "poängordning: över diagonalen är blå rutor väntade beslut, röda är överraskningar."
    ),
    "share_won": "andel vunna",
    "next_pairs": "Par att jämföra härnäst",
    "next_pairs_say": (
        "Om bedömningen fortsätter säger dessa par mest. Par som förenar grupper eller vilar på en svag länk kommer först. "
        "Några är slumpade, så att omgången kan prövas mot slumpen."
    ),
    "reason_joins_groups": "förenar två grupper",
    "reason_weak_link": "svag länk",
    "reason_information": "säger mest",
    "reason_random": "slumpat",
    "surprises": "Mest överraskande beslut",
    "surprises_say": "De här besluten gick emot poängen. En felklickning, en felläst text, eller något som de andra missade.",
    "decisions": "beslut",
    "yes": "ja",
    "none": "inga",
    "method": "Beräknad av RAS (Result Aggregator Service), metod {method}.",
    "verdict_agrees": "enig",
    "verdict_deviating": "avviker",
    "verdict_contrary": "tvärtom",
    "verdict_cannot_tell": "går inte att säga",
    "col_scaled": "på skalan",
    "col_true_score": "sann poäng",
    "col_grade": "betyg",
    "col_published_grade": "publicerat betyg",
    "col_meets_standard": "når nivån",
    "col_boundary": "mellan",
    "col_rank": "plats",
    "col_item": "text",
    "col_other": "mot",
    "col_theta": "poäng",
    "col_se": "medelfel",
    "col_se_full": "fullt medelfel",
    "col_ranks": "platser inom felet",
    "col_firth": "straffad poäng",
    "col_comparisons": "jämförelser",
    "col_wins": "vunna",
    "col_what": "vad",
    "col_share": "andel",
    "col_lower": "från",
    "col_upper": "till",
    "col_decisions": "beslut",
    "col_items": "texter",
    "col_groups": "grupper",
    "col_ssr": "SSR",
    "col_infit": "infit",
    "col_outfit": "outfit",
    "col_misfit": "avviker",
    "col_judge": "bedömare",
    "col_limit": "gräns",
    "col_agreement": "enighet",
    "col_verdict": "utfall",
    "col_seconds": "sekunder per beslut",
    "col_first": "första valda",
    "col_p": "p-värde",
    "col_reason": "varför",
    "col_number": "beslut",
    "col_chosen": "vald",
    "col_not_chosen": "ej vald",
    "col_probability": "sannolikhet",
    "col_justification": "motivering",
}

NOTICES: Final[Mapping[Kind, str]] = {
    Kind.NO_BETTER_THAN_CHANCE: (
        "Framåttest: inte bättre än slumpen. Varje beslut förutsades från besluten före det; {hits:~} av {n:beslut|beslut~} "
        "blev som förutsagt ({share:,}, 95-procentigt intervall {lower:,} till {upper:,}; slumpen ger 50 %, poängen "
        "utlovar {promised:,}). Lita inte på poängen, vad SSR och delningsreliabilitet än är."
    ),
    Kind.ONE_DECISION: "Det finns bara ett beslut: det placerar två texter, och om felen går inget att säga.",
    Kind.NEGATIVE_SSR: (
        "SSR är negativ ({ssr:,}): felen är större än poängens spridning, så textordningen säger ingenting ännu."
    ),
    Kind.ITSELF: (
        "{itself:beslut jämför|beslut jämför~} en text med sig själv ({names:och|till~}); varje sådant beslut räknas som två "
        "jämförelser och en vinst för texten."
    ),
    Kind.GROUPS: (
        "Jämförelserna faller i {n:grupp|grupper~} av texter som inget beslut förbinder; poäng, fel och reliabilitet gäller "
        "inom en grupp, och mellan grupper finns ingen rangordning."
    ),
    Kind.WEAK_LINK: (
        "Svag länk: {n:beslut|beslut~} förenar {one:och|till~} ({one_size:text|texter~}) med {other:och|till~} "
        "({other_size:text|texter~}). Varje skillnad däremellan har ett medelfel på minst {se:,} logits, vilket medelfel "
        "texterna än har, och några få beslut åt andra hållet kan byta plats på grupperna. Bedöm par däremellan."
    ),
    Kind.MORE_WEAK_LINKS: "{n:svag länk till finns|svaga länkar till finns~}.",
    Kind.ONE_WAY: (
        "Bara åt ett håll: {winners:och|till~} ({winners_size:text|texter~}) vann {n:beslut|beslut~} mot {losers:och|till~} "
        "({losers_size:text|texter~}) och förlorade inget. Hur långt isär de är framgår inte av besluten; det beror på "
        "poängens justering. Jämför med den straffade poängen (Firth)."
    ),
    Kind.WON_OR_LOST_ALL: (
        "{n:text|texter~} vann eller förlorade alla jämförelser ({names:och|till~}): hur långt från de övriga framgår inte av "
        "besluten; det beror på poängens justering. Jämför med den straffade poängen (Firth)."
    ),
    Kind.BALANCED: (
        "(Nästan) alla beslut mellan några grupper av texter gick åt ett håll, så att de vanliga poängen bara skulle "
        "vila på sin justering. Här räknas varje text också som jämförd med en tänkt text, med en del av en vinst och "
        "av en förlust: poängen förblir ändliga och rör sig jämnt med varje ytterligare beslut."
    ),
    Kind.JUDGE_FIRST: (
        "Bedömaren {judge} valde texten som visades först i {hits:~} av {n:beslut|beslut~} ({share:,}, 95-procentigt intervall "
        "{lower:,} till {upper:,}; väntat är 50 %): platsen avgör, inte bara texten."
    ),
    Kind.JUDGE_SECOND: (
        "Bedömaren {judge} valde texten som visades sist i {hits:~} av {n:beslut|beslut~} ({share:,}, 95-procentigt intervall "
        "{lower:,} till {upper:,}; väntat är 50 %): platsen avgör, inte bara texten."
    ),
    Kind.POSITION: (
        "Platsen spelar roll: av två lika texter väljs den som visas först i {chance:,} av jämförelserna (ordningseffekt "
        "{delta:,} logits, 95-procentigt intervall {lower:,} till {upper:,}). Jämför poängen med och utan den."
    ),
    Kind.CONTRARY: (
        "Bedömaren {judge} beslutar tvärtemot de andra: enig i {hits:~} av {n:beslut|beslut~} ({share:,}, 95-procentigt "
        "intervall {lower:,} till {upper:,}; gräns {limit:,}), infit {infit:,} (gräns {infit_limit:,})."
    ),
    Kind.DEVIATING: (
        "Bedömaren {judge} beslutar annorlunda än de andra: enig i {hits:~} av {n:beslut|beslut~} ({share:,}, 95-procentigt "
        "intervall {lower:,} till {upper:,}; gräns {limit:,}), infit {infit:,} (gräns {infit_limit:,})."
    ),
    Kind.ADAPTIVE: (
        "Paren valdes adaptivt: enligt poängen vid tillfället låg bedömda par {ratio:,} gånger så långt isär som slumpade "
        "par skulle göra. Det blåser upp SSR och delningsreliabilitet, så lita på framåttestet, och jämför inte SSR med "
        "omgångar med slumpade par."
    ),
    Kind.FEW: (
        "{few:~} av {n:text|texter~} har färre än {limit} jämförelser: deras platser kan mycket väl ändras med fler beslut."
    ),
    Kind.LOOK_ALIKES: (
        "Namn som ser likadana ut hålls isär som olika texter: {names:och|till~}. Om de avser samma text, skriv dem likadant "
        "och räkna om."
    ),
    Kind.LOOK_ALIKE_JUDGES: (
        "Namn som ser likadana ut hålls isär som olika bedömare: {names:och|till~}. Om de avser samma bedömare, skriv dem "
        "likadant och räkna om."
    ),
    Kind.CANNOT_TELL: (
        "Framåttest: går inte att säga. {hits:~} av {n:beslut|beslut~} som kunde förutsägas från dem före blev som förutsagt: "
        "för svaga bevis för att skilja bedömarna från slantsingling, vad SSR än är. Bedöm fler par; slumpade par säger mest."
    ),
    Kind.NOTHING_PREDICTED: (
        "Framåttest: går inte att säga. Inget beslut kunde förutsägas från dem före, eftersom inget hade visat att någon av "
        "de två ligger före. Bedöm fler par."
    ),
    Kind.BETTER_THAN_CHANCE: (
        "Framåttest: bättre än slumpen. Varje beslut förutsades från besluten före det; {hits:~} av {n:beslut|beslut~} blev "
        "som förutsagt ({share:,}, 95-procentigt intervall {lower:,} till {upper:,}; slumpen ger 50 %, poängen utlovar "
        "{promised:,})."
    ),
    Kind.FEW_JUDGES: (
        "Med {n:bedömare|bedömare~} går det inte att säga vem som beslutar annorlunda än de övriga: tre behövs."
    ),
    Kind.TIES: (
        "{ties:~} av {n:jämförelse|jämförelser~} blev oavgjorda. De räknas som en halv vinst för båda (Davidsons modell); två "
        "lika texter skulle bli oavgjorda i {chance:,} av jämförelserna."
    ),
    Kind.APPROXIMATED: (
        "Med fler än {limit:sammanhängande text|sammanhängande texter~} skattas fulla medelfel och intervall från {draws:~} "
        "dragningar: de är kända på omkring 6 %."
    ),
}
