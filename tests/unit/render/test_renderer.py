from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from mailblast.errors import RowFaultError, TemplateError
from mailblast.model.campaign import Template
from mailblast.render.renderer import Renderer
from mailblast.render.template import load_template

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.model.message import Content


def a_template(**changes: Any) -> Template:
    return Template("w.html", "", "s", None, None)._replace(**changes)


def render(template: Template, **variables: object) -> Content:
    return Renderer(template).render(variables)


def fault(template: Template, **variables: object) -> RowFaultError:
    with pytest.raises(RowFaultError) as caught:
        render(template, **variables)
    return caught.value


def test_all_parts_are_filled_in() -> None:
    template = a_template(
        subject="Hi {{ a }}", text="T {{ a }}\n", html="<p>{{ a }}</p>\n", headers=(("X-A", "{{ a }}"), ("X-B", "b"))
    )

    assert ("Hi <&>", "T <&>\n", "<p>&lt;&amp;&gt;</p>\n", (("X-A", "<&>"), ("X-B", "b"))) == render(template, a="<&>")
    assert frozenset({"a"}) == Renderer(template).variables


@pytest.mark.parametrize("value", ["{{7*7}}", "{% raw %}", "{# x #}", "${7*7}", "{{ ''.__class__ }}"])
def test_value_is_never_a_template(value: str) -> None:
    content = render(a_template(subject="{{ a }}", text="{{ a }}", html="{{ a }}"), a=value)

    assert value == content.subject == content.text
    assert content.html is not None
    assert value == content.html.replace("&#39;", "'")


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("{{ a }}", "a"),
        ("{{ a.b }}", "a"),
        ("{% if a %}{% endif %}", "a"),
        ("{% for x in a %}{% endfor %}", "a"),
        ("{{ a ~ 'x' }}", "a"),
        ("{{ order.total }}", "order.total"),
        ("{{ order['total'] }}", "order.total"),
        ("{{ order.total.net }}", "order.total"),
        ("{% for i in order.lines %}{{ i.price }}{% endfor %}", "order.lines[1].price"),
        ("{{ order.lines[5] }}", "order.lines[5]"),
        ("{{ {'x': 1}.y }}", "y"),
    ],
)
def test_missing_variable_is_named(source: str, variable: str) -> None:
    order = {"lines": [{"price": 1}, {"cost": 2}]}
    error = fault(a_template(html=f"\n{source}"), order=order)

    assert variable == error.column
    assert f"'{variable}'" in error.reason
    assert "w.html, line 2" in error.reason


@pytest.mark.parametrize("source", ["{{ a|default('x') }}", "{% if a is defined %}{% else %}x{% endif %}"])
def test_missing_variable_may_be_foreseen(source: str) -> None:
    assert "x" == render(a_template(text=source)).text


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("{{ 1 / 0 }}", "division"),
        ("{{ 'a' + 1 }}", "(?i)concatenate|str"),
        ("{{ name.first }}", "no attribute 'first'"),
        ("{{ none_.x }}", "no attribute 'x'"),
        ("{{ name | money }}", "not an amount"),
        ("{{ name | date }}", "not a date"),
        ("{{ name() }}", "not callable"),
        ("{{ ''.__class__.__mro__ }}", "may not do this"),
        ("{{ name.__init__.__globals__ }}", "may not do this"),
        ("{{ [].append(1) }}", "may not do this"),
        ("{{ 'x' * 3000000 }}", "may not do this"),
        ("{{ 3000000 * [1] }}", "may not do this"),
        ("{{ 10 ** 5000 }}", "may not do this"),
        ("{{ range(200000) | length }}", "(?i)range"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{% include name %}", "no template 'Ada'"),
    ],
)
def test_what_goes_wrong_while_rendering_is_a_fault_of_the_row(source: str, match: str) -> None:
    with pytest.raises(RowFaultError, match=match):
        render(a_template(text=source), name="Ada", none_=None)


@pytest.mark.parametrize("name", ["cycler", "joiner", "lipsum", "self"])
def test_globals_that_reach_further_are_gone(name: str) -> None:
    with pytest.raises(RowFaultError):
        render(a_template(text=f"{{{{ {name}.__init__.__globals__ }}}}"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 3 * 'ab' }} {{ 2 ** 10 }} {{ 2 * 3.5 }} {{ 2 ** 0.5 > 1 }}", "ababab 1024 7.0 True"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{% set n = namespace(x=1) %}{{ n.x }}{{ dict(a=1).a }}", "11"),
        ("{{ order.items }}{{ order['items'] }}", "55"),
        ("{% for k, v in plain.items() %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{{ nothing }}|{{ yes }}", "|True"),
        ("{{ '1234.5'|money('$') }} {{ '2026-03-01'|date }}", "$1,234.50 01 March 2026"),
        ("a\n", "a\n"),
    ],
)
def test_templates_can_do_this(source: str, expected: str) -> None:
    assert expected == render(a_template(text=source), order={"items": 5}, plain={"a": 1}, nothing=None, yes=True).text


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("{% for i in range(90000) %}{{ 'x' * 20 }}{% endfor %}", False),
        ("{% for i in range(90000) %}{{ 'x' * 30 }}{% endfor %}", True),
        ("{% for i in range(90000) %}{% for j in range(90000) %}0123456789{% endfor %}{% endfor %}", True),
        ("{{ a }}" * 3, True),
        ("{% for i in range(70000) %}{{ i }}{% endfor %}", False),
    ],
)
def test_part_over_2_mb_is_a_fault(source: str, refused: bool) -> None:  # noqa: FBT001 - a table
    template = a_template(text=source)
    if refused:
        assert "over 2 MB" in fault(template, a="x" * 700_000).reason
    else:
        assert render(template, a="x" * 700_000).text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "Re: a"),
        ("a  b", "Re: a b"),
        ("a\tb", "Re: a b"),
        (" a ", "Re: a"),
        ("é \xa0", "Re: é \xa0"),
    ],
)
def test_subject_collapses_blanks(value: str, expected: str) -> None:
    assert expected == render(a_template(subject="Re:  {{ a }} ", text="x"), a=value).subject


@pytest.mark.parametrize(
    "bad", ["\n", "\r", "\r\nBcc: x@y", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]
)
def test_subject_and_headers_refuse_control_characters(bad: str) -> None:
    fault(a_template(subject="Re: {{ a }}", text="x"), a=f"x{bad}")
    fault(a_template(subject="Re: {{ a }}", text="x"), a=bad)
    fault(a_template(headers=(("X-A", "{{ a }}"),), text="x"), a=f"{bad}y")


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_empty_subject_is_a_fault(value: str) -> None:
    assert "empty" in fault(a_template(subject=" {{ a }} ", text="x"), a=value).reason


def test_lone_surrogate_is_a_fault_of_the_row_or_of_the_template() -> None:
    assert "surrogate" in fault(a_template(text="é {{ a }}"), a="\udc80").reason
    with pytest.raises(TemplateError, match="surrogate"):
        Renderer(a_template(text="\udc80"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"html": "a\n{{ a|nosuchfilter }}"}, r"w\.html:2: .*nosuchfilter"),
        ({"subject": "{{"}, "the subject of w.html:1:"),
        ({"text": "{% if %}", "html": "a"}, "the text part of w.html:1:"),
        ({"headers": (("X-A", "{{"),), "text": "a"}, "the header X-A of w.html"),
        ({"html": "{% include 'none.html' %}"}, "no template 'none.html"),
        ({"html": "{% extends 'none.html' %}"}, "no template 'none.html"),
        ({"text": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"}, "nested too deeply"),
    ],
)
def test_template_that_cannot_be_compiled_says_where(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(TemplateError, match=match):
        Renderer(a_template(**changes))


def in_folder(folder: Path, source: str, **files: str) -> Template:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    path = folder / "main.html"
    path.write_text(source, encoding="utf-8")
    return load_template(path, subject="s")


def test_includes_come_from_the_folder_and_fit_their_part(tmp_path: Path) -> None:
    template = in_folder(
        tmp_path,
        "{% extends 'base.html' %}{% block main %}<p>Hi {{ name }}</p>"
        "{% include 'parts/foot.html' %}{% include 'x.md' %}{% endblock %}",
        base_html="<html><head><style>p{}</style></head><body>{% block main %}{% endblock %}</body></html>",
        parts__foot_html="<p>Bye <b>{{ name }}</b> {{ year }}</p>",
        x_md="*see* {{ name }}\n",
    )
    content = render(template, name="A&B", year=1)

    assert "Hi A&B\n\nBye A&B 1" in str(content.text)
    assert "*see* A&B" in str(content.text)
    assert "<p>Hi A&amp;B</p><p>Bye <b>A&amp;B</b> 1</p><p><em>see</em> A&amp;B</p>" in str(content.html)
    assert frozenset({"name", "year"}) == Renderer(template).variables


def test_include_that_may_be_missing_may_be_missing(tmp_path: Path) -> None:
    source = "a{% include 'none.html' ignore missing %}{% include ['none.html', 'b.html'] %}"

    assert "ab" == str(render(in_folder(tmp_path, source, b_html="b"), name="x").html)


def test_includes_that_name_each_other_are_read_once(tmp_path: Path) -> None:
    template = in_folder(tmp_path, "{% include 'b.html' %}", b_html="{% if a %}{% include 'b.html' %}{% endif %}b")

    assert "b" == render(template, a=False).html
    fault(template, a=True)


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "link.txt", ".env", "folder", "a/../../secret.txt"])
def test_include_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (inside / ".env").write_text("secret")
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    template = in_folder(inside, "{% include name %}")

    assert "no template" in fault(template, name=name).reason
    with pytest.raises(TemplateError):
        Renderer(template._replace(html=f"{{% include '{name}' %}}"))


def test_syntax_error_in_an_include_names_that_file(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"b\.html:2:"):
        Renderer(in_folder(tmp_path, "{% include 'b.html' %}", b_html="a\n{{ oops"))


def test_fault_in_an_include_counts_for_the_row(tmp_path: Path) -> None:
    assert "a" == fault(in_folder(tmp_path, "{% include 'b.html' %}", b_html="{{ a }}")).column


def test_line_of_a_fault_is_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w.html"
    path.write_text("Subject: a\nX-A: b\n\n<p>\n{{ gone }}</p>")

    assert f"({path}, line 5)" in fault(load_template(path)).reason


def test_fault_in_markdown_names_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w.md"
    path.write_text("# a\n\n{% if x %}\nb\n{% endif %}\n\n{{ gone }}")

    assert f"({path}, line 7)" in fault(load_template(path), x=1).reason


def test_data_is_searched_for_names_no_deeper_than_sensible() -> None:
    data: object = {}
    for _ in range(30):
        data = [data]
    unwrap = "{% set ns = namespace(d=data) %}{% for i in range(30) %}{% set ns.d = ns.d | first %}{% endfor %}"

    assert "x" == fault(a_template(text=unwrap + "{{ ns.d.x }}"), data=data).column


@pytest.mark.parametrize("value", ["", "a", "<b>&'\"</b>", "é <", 5, 1.5, None, True, [1, "<"], {"a": "<"}, "x" * 100])
@pytest.mark.parametrize(
    "source", ["{{ a }}", "Dear {{ a }},\n{{b}}{{ a }}", "{{ range }}{{ a }}", "{{ self }}", "{# c #}"]
)
def test_plain_variables_are_filled_in_as_jinja_does(source: str, value: object) -> None:
    plain, by_jinja = (
        a_template(text=f"{source}{code}\n", html=f"<p>{source}{code}</p>\n")
        for code in ("", "{% if true %}{% endif %}")
    )
    variables = {"a": value, "b": "<&>", "self": "mine"}

    assert re.sub("0x[0-9a-f]+", "", repr(render(plain, **variables))) == re.sub(
        "0x[0-9a-f]+", "", repr(render(by_jinja, **variables))
    )
