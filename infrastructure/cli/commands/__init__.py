"""The commands of `ras` as a person sees them: names, options, help. What they do is one folder up.

The rule: a module here imports typer, the standard library and light modules of `application` and `domain`,
whose words the help shows. Each command imports its work in its body, from the module of `infrastructure.cli` that does it:

    def outbox(...) -> None:
        \"\"\"Show what is recorded and not yet published, and what was published lately.\"\"\"
        from infrastructure.cli import outbox as work

        work.outbox(limit=limit, json_output=json_output)

So help, shell completion and a mistyped option cost a tenth of a second, and a command costs what it works
with and nothing else. `ruff.toml` beside this file refuses an import that breaks the rule, and
`tests/integration/test_command_imports.py` looks at what is loaded in the end.
"""
