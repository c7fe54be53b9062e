from __future__ import annotations

import pytest

from mailblast.render.environment import text_environment
from mailblast.render.plain_text import text_from_html

VALUES = {
    "name": "Ada",
    "yes": True,
    "no": False,
    "url": "https://x.example/",
    "items": [{"n": "Tea", "p": 2}, {"n": "Milk", "p": 1}],
    "empty": [],
}

ROWS = "{% for i in items %}<tr><td>{{ i.n }}</td><td>{{ i.p }}</td></tr>{% endfor %}"


def rendered(html: str) -> str:
    return text_environment("").from_string(text_from_html(html)).render(VALUES).rstrip("\n") + "\n"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>Hello  <b>{{ name }}</b>,\n how are you?</p>", "Hello Ada, how are you?\n"),
        ("<h1>Title</h1><p>One</p><p>Two</p>", "Title\n\nOne\n\nTwo\n"),
        ("<div>a</div><div>b</div>", "a\nb\n"),
        ("a<br>b<br><br>c", "a\nb\n\nc\n"),
        ("<p>a</p><hr><p>b</p>", f"a\n\n{'-' * 40}\n\nb\n"),
        ("<ul><li>one<li><p>two</p></ul><ol><li>x</li><li>y</li></ol>", "- one\n- two\n\n1. x\n2. y\n"),
        ("<li>stray</li></ol></pre></a>", "- stray\n"),
        (
            "<a href='https://x.example/?a=1&amp;b={{ name }}'>the page</a>.",
            "the page <https://x.example/?a=1&b=Ada>.\n",
        ),
        ("<a href='{{ url }}'>{{ url }}</a>", "https://x.example/\n"),
        ("<a href='mailto:a@b.example'>a@b.example</a>", "a@b.example\n"),
        ("<a href='mailto:a@b.example'>write</a>", "write <a@b.example>\n"),
        ("<a href='{% if yes %}x{% else %}y{% endif %}'>go</a>", "go <x>\n"),
        ("<a href='#top'>up</a> <a>b</a> <a href='javascript:x'>c</a>", "up b c\n"),
        ("<a href='https://x.example/'><img src=b alt='Logo of {{ name }}'></a>", "Logo of Ada <https://x.example/>\n"),
        ("<a href='https://x.example/'><img src=b></a>", "<https://x.example/>\n"),
        ("a<img src=pixel hidden alt=spy>b", "ab\n"),
        ("<style>p{}</style><script>x()</script><title>t</title>a", "a\n"),
        ("<head><title>t</title><body>a", "a\n"),
        ("<div style='Display : none'><div>x</div>y</div>a", "a\n"),
        ("<div hidden>x{{ missing }}<img></div>a<!-- {{ missing }} x -->", "a\n"),
        ("&lt;b&gt; &amp; &eacute;&nbsp;&shy;x &#123;&#123; name }}", "<b> & é x {{ name }}\n"),
        ("{{ '<b>' }}{{ '&amp;' }}", "<b>&amp;\n"),
        ("<pre>\n a\n   {{ name }}</pre>b", "a\n   Ada\n\nb\n"),
        ("<p>x</p><pre>\n a\n  b\n</pre>c", "x\n\n a\n  b\n\nc\n"),
        ("<p{% if yes %} class='a'{% endif %}>a</p><p>b</p{{ name }}>c", "a\n\nb\n\nc\n"),
        ("<p>Hello {% if yes %}Dr {% endif %}{{ name }}</p>", "Hello Dr Ada\n"),
        ("<p>Hello {% if no %}Dr {% endif %}{{ name }}</p>", "Hello Ada\n"),
        ("Hello {% if no %}X{% else %}Y{% endif %} Z", "Hello Y Z\n"),
        ("<p>a</p>{% if yes %}<p>b</p>{% endif %}<p>c</p>", "a\n\nb\n\nc\n"),
        ("<p>a</p>{% if no %}<p>b</p>{% endif %}<p>c</p>", "a\n\nc\n"),
        ("a{% if yes %}<br>{% endif %} b", "a\n b\n"),
        ("a<p>{% if no %}b{% elif yes %}<p>c</p>{% endif %}d", "a\n\nc\n\nd\n"),
        (
            f"<table><tr><th>Item</th><th>Price</th></tr>{ROWS}</table>end",
            "Item | Price\nTea | 2\nMilk | 1\n\nend\n",
        ),
        ("<ul>{% for i in items %}<li>{{ i.n }}</li>{% endfor %}</ul>end", "- Tea\n- Milk\n\nend\n"),
        ("<ol>{% for i in items %}<li>{{ i.n }}</li>{% endfor %}</ol>", "- Tea\n- Milk\n"),
        ("{% for i in empty %}<p>a</p>{% else %}<p>none</p>{% endfor %}", "none\n"),
        ("<table><tr><td>&nbsp;</td><td>a</td><td> </td><td><p>b</p></td></tr></table>", "a\n\nb\n"),
        ("{% set x = 'a' %}<p>{{ x }}</p>", "a\n"),
        ("<p>1</p>{% set x %}<p>a</p>{% endset %}<p>2 {{ x }}</p>", "1\n\n2 a\n"),
        ("{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}<p>{{ m('a') }}</p>", "a\n"),
        ("<head>{% set x = 'a' %}{% block title %}t{% endblock %}</head>{{ x }}", "a\n"),
        ("<!-- {% if no %} -->x<!-- {% endif %} -->y", "y\n"),
        ("{# note #}a{% raw %}{{ b }}{% endraw %}", "a{{ b }}\n"),
    ],
)
def test_html_gives_this_text(html: str, expected: str) -> None:
    assert expected == rendered(html)


@pytest.mark.parametrize("html", ["", "<p> </p>", "<img src=x>", "<style>a</style>"])
def test_html_without_text_gives_none(html: str) -> None:
    assert "" == text_from_html(html)


def test_filters_that_write_html_write_nothing_into_text() -> None:
    html = "{{ x|e }} {{ x|escape }} {{ x|safe ~ x }} {{ x|urlize }} {{ x|forceescape }}"

    assert "<&> <&> <&><&> <&> <&>\n" == text_environment("").from_string(text_from_html(html)).render(x="<&>")
