"""The figures about judges: agreement with the others, and the position."""

from __future__ import annotations

from application.judging_report.contents import ReportContents
from application.judging_report.figure import Figure, percent, percents
from application.judging_report.specs import intervals
from application.judging_report.texts import Texts
from domain.collation import sort_key


def judge_figures(contents: ReportContents, texts: Texts, locale: str) -> list[Figure]:
    """Agreement of each judge with the others, and the share of first-shown texts where it is known."""
    findings = contents.quality.findings
    key = sort_key(locale)
    fits = {fit.judge: fit for fit in contents.scores.judges}
    checks = sorted(findings.judges, key=lambda check: key(check.judge))
    flagged = [check.judge for check in checks if check.flagged]
    values = [
        {
            "name": check.judge,
            "value": check.agreement.share,
            "lower": check.agreement.lower,
            "upper": check.agreement.upper,
            "flagged": check.flagged,
        }
        for check in checks
        if check.agreement.share is not None
    ]
    rows = [
        (
            *(
                check.judge,
                fits[check.judge].decisions,
                check.infit,
                check.infit_limit,
            ),
            *(*percents(check.agreement), percent(check.agreement_limit)),
            *(texts[f"verdict_{check.verdict.value}"], contents.mean_times_s.get(check.judge)),
        )
        for check in checks
    ]
    title = texts["judges"]
    sentence = texts["judges_some"].format(names=", ".join(flagged)) if flagged else texts["judges_none"]
    columns = texts.columns(
        *(
            "judge",
            "decisions",
            "infit",
            "limit",
            "agreement",
            "lower",
            "upper",
            "limit",
            "verdict",
            "seconds",
        )
    )
    spec = intervals(title, texts["agreement"], values, limit=0.5, share=True) if values else None
    found = [Figure("judges", title, sentence, spec, columns, rows)]
    if findings.position is not None:
        found.append(_position(contents, texts, locale))
    return found


def _position(contents: ReportContents, texts: Texts, locale: str) -> Figure:
    position = contents.quality.findings.position
    assert position is not None
    key = sort_key(locale)
    judges = sorted(position.judges, key=lambda judge: key(judge.judge))
    values = [
        {
            "name": judge.judge,
            "value": judge.first.share,
            "lower": judge.first.lower,
            "upper": judge.first.upper,
            "flagged": judge.flagged,
        }
        for judge in judges
    ]
    rows = [(j.judge, j.first.hits, j.first.n, *percents(j.first), j.p_value) for j in judges]
    flagged = [judge.judge for judge in judges if judge.flagged]
    title = texts["position"]
    sentence = texts["position_some"].format(names=", ".join(flagged)) if flagged else texts["position_none"]
    columns = texts.columns("judge", "first", "decisions", "share", "lower", "upper", "p")
    return Figure(
        "position",
        title,
        sentence,
        intervals(title, texts["share_first"], values, limit=0.5, share=True),
        columns,
        rows,
    )
