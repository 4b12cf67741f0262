"""Sentences that RAS composes while it works, in Swedish: refusals, and notes on an operation.

They are written where they arise, in English, for programs and logs too. A `{}` holds what differs; a part that is such
a sentence itself is translated as well. A test finds the sentences that are missing here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # Signing in
    "The ticket was used before. Each can be used once.": "Länken har redan använts. Varje länk kan användas en gång.",
    "The ticket is not valid.": "Länken är inte giltig.",
    "The ticket is not valid, or its time is over.": "Länken är inte giltig, eller har gått ut.",
    "The token names a key that is not known here.": "Inloggningen anger en nyckel som inte är känd här.",
    "The token's algorithm is not that of its key.": "Inloggningens algoritm är inte nyckelns.",
    "Tokens are not accepted here: RAS_JWT_SECRET or RAS_JWT_JWKS is not set.": (
        "Inloggning från en portal är inte inställd här: RAS_JWT_SECRET eller RAS_JWT_JWKS saknas."
    ),
    "The token is longer than {} characters.": "Inloggningen är längre än {} tecken.",
    "The token is signed in a way that is not accepted here.": (
        "Inloggningen är signerad på ett sätt som inte godtas här."
    ),
    "The token has expired. Get a new one.": "Inloggningen har gått ut. Hämta en ny.",
    "The token is not valid.": "Inloggningen är inte giltig.",
    "The token's subject cannot be a user's id.": "Inloggningens användar-id kan inte användas.",
    "The token is for another audience.": "Inloggningen är avsedd för en annan tjänst.",
    "The token is of another issuer.": "Inloggningen kommer från en annan utfärdare.",
    "The token is not valid yet.": "Inloggningen är inte giltig än.",
    "The token lacks one of exp, aud, iss, sub.": "Inloggningen saknar exp, aud, iss eller sub.",
    "A page of another site may sign somebody in only if RAS_SIGN_IN_ORIGINS names its origin.": (
        "En sida på en annan webbplats får logga in någon bara om RAS_SIGN_IN_ORIGINS anger dess ursprung."
    ),
    "This answer belongs to another attempt to sign in. Start again.": (
        "Svaret hör till ett annat inloggningsförsök. Börja om."
    ),
    "This answer is of another identity provider. Start again.": (
        "Svaret kommer från en annan identitetsleverantör. Börja om."
    ),
    "The identity provider refused: {}.": "Identitetsleverantören nekade: {}.",
    "The identity provider refused: {}. Start again.": "Identitetsleverantören nekade: {}. Börja om.",
    "The identity provider's token belongs to another attempt. Start again.": (
        "Identitetsleverantörens svar hör till ett annat försök. Börja om."
    ),
    "The identity provider sent no ID token: is the scope openid set?": (
        "Identitetsleverantören skickade inget ID-token: är omfånget openid inställt?"
    ),
    "Signing in was not begun in this browser, or took too long. Start again.": (
        "Inloggningen påbörjades inte i den här webbläsaren, eller tog för lång tid. Börja om."
    ),
    "The identity provider does not answer as it should. Try again shortly.": (
        "Identitetsleverantören svarar inte som den ska. Försök igen om en stund."
    ),
    # Forms and addresses
    "{} must be a whole number.": "{} måste vara ett heltal.",
    "The form is longer than {} bytes.": "Formuläret är längre än {} byte.",
    "This is not the id of a notification.": "Det är inte id för ett meddelande.",
    "This cannot be an identifier: {}.": "Det kan inte vara ett id: {}.",
    "Give the corrected message: edit it in the field, or choose a file.": (
        "Ange det rättade meddelandet: ändra det i fältet, eller välj en fil."
    ),
    "The form does not name what to do with the letter.": "Formuläret anger inte vad som ska göras med brevet.",
    "Say what was corrected: a text of 1 to 500 characters, printable, on one line.": (
        "Ange vad som rättades: en text med 1 till 500 tecken på en rad."
    ),
    "Say why the message is discarded: a text of 1 to 500 characters, printable, on one line.": (
        "Ange varför meddelandet kasseras: en text med 1 till 500 tecken på en rad."
    ),
    "There is no such essay, or it belongs to somebody else.": "Texten finns inte, eller tillhör någon annan.",
    "There is no such notification, or it belongs to somebody else.": "Meddelandet finns inte, eller tillhör någon annan.",
    "There is no such batch, or it belongs to somebody else.": "Omgången finns inte, eller tillhör någon annan.",
    "There is no such judging job.": "Bedömningsjobbet finns inte.",
    "There is no such dead letter.": "Det döda brevet finns inte.",
    "There is no report of a job with such an id.": "Det finns ingen rapport om ett jobb med ett sådant id.",
    "There is no report of this job yet: no judge has decided anything.": (
        "Det finns ingen rapport om jobbet än: ingen bedömare har beslutat något."
    ),
    "The report could not be made. The log of this process says why.": (
        "Rapporten kunde inte skapas. Processens logg säger varför."
    ),
    "The report takes longer than {} s. Run ras judging-report.": (
        "Rapporten tar längre tid än {} s. Kör ras judging-report."
    ),
    "The report is too large for a page. Run ras judging-report.": (
        "Rapporten är för stor för en sida. Kör ras judging-report."
    ),
    # Dead letters and parked messages
    "The corrected message is refused. {}": "Det rättade meddelandet godtas inte. {}",
    "It has more than {} bytes.": "Det är större än {} byte.",
    "This message waits in its stream: drain {}, in order.": "Meddelandet väntar i sin ström: töm {}, i ordning.",
    "The message was ingested by an earlier retry.": "Meddelandet behandlades vid ett tidigare försök.",
    "A corrected message was ingested in its place.": "Ett rättat meddelande behandlades i dess ställe.",
    "The message was discarded.": "Meddelandet kasserades.",
    "This release does not read the topic {}.": "Den här versionen läser inte ämnet {}.",
    "What is recorded of this letter cannot be read: {}.": "Det som registrerats om brevet kan inte läsas: {}.",
    "There is no stream {} in which messages can wait.": "Det finns ingen ström {} där meddelanden kan vänta.",
    "The events of {} cannot be read by this release either: {}.": (
        "Händelserna i {} kan inte heller läsas av den här versionen: {}."
    ),
    "Nothing is recorded in a stream {}.": "Inget är registrerat i en ström {}.",
    "An earlier message of this stream is parked.": "Ett tidigare meddelande i strömmen är parkerat.",
    "NaN and Infinity are not JSON.": "NaN och Infinity är inte JSON.",
    "A text holds the character U+0000, which PostgreSQL cannot store.": (
        "En text innehåller tecknet U+0000, som PostgreSQL inte kan spara."
    ),
    "{} is {}, before 1970.": "{} är {}, före 1970.",
    "{} is {}, more than {} days after the message was received ({}).": (
        "{} är {}, mer än {} dagar efter att meddelandet togs emot ({})."
    ),
    # Status, outbox, checks
    "There is nothing to compare it with.": "Det finns inget att jämföra med.",
    "{} of {} rows differ from the live side's.": "{} av {} rader skiljer sig från dem som visas nu.",
    "It was for version {}; this release has version {}.": "Den gällde version {}; den här utgåvan har version {}.",
    "Its tables are not those of this release.": "Dess tabeller är inte den här utgåvans.",
    "It was at {}, beyond the live side, with which it is to be compared.": (
        "Den var vid {}, förbi de rader som visas och som den ska jämföras med."
    ),
    "no partition yet": "ingen partition än",
    "RAS_KAFKA_BOOTSTRAP_SERVERS is not set: the ends of the topics are not known.": (
        "RAS_KAFKA_BOOTSTRAP_SERVERS är inte inställd: ämnenas slut är inte kända."
    ),
    "Whether the position is right is not known. {}": "Det är inte känt om positionen stämmer. {}",
    "{} messages before the position are parked: `ras parked list` names them.": (
        "{} meddelanden före positionen är parkerade: `ras parked list` visar dem."
    ),
    "Another check is under way on this database; wait until it has ended.": (
        "En annan kontroll pågår i databasen; vänta tills den är klar."
    ),
    "The database does not answer ({}). Check again later.": "Databasen svarar inte ({}). Kontrollera igen senare.",
    "The connection to the database was lost ({}). Check again later.": (
        "Förbindelsen till databasen bröts ({}). Kontrollera igen senare."
    ),
    "PostgreSQL ended the session ({}). Check again later.": "PostgreSQL avslutade sessionen ({}). Kontrollera igen senare.",
    "PostgreSQL is starting, stopping or recovering ({}). Check again later.": (
        "PostgreSQL startar, stannar eller återställs ({}). Kontrollera igen senare."
    ),
    "Kafka: {}. Check again later; `ras check` names the reason.": (
        "Kafka: {}. Kontrollera igen senare; `ras check` säger varför."
    ),
    "The process of the check ended with exit code {}.": "Kontrollens process avslutades med felkod {}.",
    "Something went wrong here; the log of this process says what.": "Något gick fel här; processens logg säger vad.",
    "messages and their events": "meddelanden och deras händelser",
    "read models": "läsmodeller",
    "records of the out-topics": "poster i utgående ämnen",
}


def in_swedish(text: str) -> str | None:
    """Return a sentence of RAS in Swedish, None for any other text."""
    if text in SENTENCES:
        return SENTENCES[text]
    for pattern, swedish in _patterns():
        if found := pattern.fullmatch(text):
            return swedish.format(*(in_swedish(part) or part for part in found.groups()))
    return None


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return the sentences with a part that differs, the longest first: a short one may fit a longer one's text."""
    return [
        (re.compile("(.+?)".join(map(re.escape, english.split("{}"))), re.DOTALL), swedish)
        for english, swedish in sorted(SENTENCES.items(), key=lambda each: -len(each[0]))
        if "{}" in english
    ]
