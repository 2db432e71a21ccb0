"""`lanes list` and `lanes completion`: every name of every table, formulas, and scripts that a shell accepts."""

import json
import shutil
import subprocess

import pytest

import nets
from lanes.cli import completion, main
from lanes.cli import list as listing
from lanes.describe.catalogue import entries, table, tables


def test_the_tables_are_listed_with_their_sizes(capsys):
    assert listing.run([]) == 0
    lines = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines()[:-1])
    assert lines["activations"] == str(len(nets.ACTIVATIONS))
    assert set(lines) == set(tables())


@pytest.mark.parametrize("name", tables())
def test_every_entry_is_listed_and_says_what_it_is(name, capsys):
    assert listing.run([name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(table(name))
    assert all(entry.what for entry in entries(name))


def test_an_entry_is_documented_with_its_defaults_formula_and_source(capsys):
    assert listing.run(["activations", "leaky_relu"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("leaky_relu LeakyReLU(slope=0.01)\n")
    assert "g(z) = max(0, z) + α min(0, z)" in text
    assert "Maas, Hannun and Ng" in text


def test_as_json(capsys):
    assert listing.run(["losses", "lp", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["defaults"]) == ("lp", "Lp(p=3.0)")
    assert listing.run(["--json"]) == 0
    assert {"table": "losses", "entries": len(table("losses")), "title": "Losses"} in json.loads(
        capsys.readouterr().out
    )


@pytest.mark.parametrize(("words", "line"), [(["activation"], "'activations'"), (["optimizers", "adem"], "'adam'")])
def test_a_wrong_name_gets_a_suggestion(words, line, capsys):
    assert listing.run(words) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert f"did you mean {line}" in error


@pytest.mark.skipif(shutil.which("bash") is None, reason="the test asks bash")
def test_bash_completes_commands_and_options(tmp_path, capsys):
    assert completion.run(["bash"]) == 0
    script = tmp_path / "lanes.bash"
    script.write_text(capsys.readouterr().out)
    asked = """
        source "$0"
        function=$(complete -p lanes | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        COMP_WORDS=(lanes ""); COMP_CWORD=1; $function lanes "" lanes; echo "${COMPREPLY[@]}"
        COMP_WORDS=(lanes sweep --dr); COMP_CWORD=2; $function lanes --dr sweep; echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", asked, script], capture_output=True, text=True, check=True)
    commands, options = done.stdout.splitlines()
    assert set(main.COMMANDS) <= set(commands.split())
    assert options.split() == ["--dry-run"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_for_other_shells_name_every_command(shell, capsys):
    assert completion.run([shell]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in main.COMMANDS)


def test_an_unknown_shell_is_refused_in_one_line(capsys):
    assert completion.run(["ksh"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "bash" in line
