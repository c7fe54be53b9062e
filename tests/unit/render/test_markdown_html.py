from __future__ import annotations

import pytest

from mailblast.render.environment import html_environment
from mailblast.render.markdown_html import first_heading, html_from_markdown, page_from_markdown

VALUES = {
    "name": "A&B",
    "yes": True,
    "url": 'https://x.example/?a="b',
    "items": [{"n": "Tea", "p": 2}, {"n": "Milk", "p": 1}],
}

TABLE = """\
<table>
<thead>
<tr>
<th>I</th>
<th style="text-align:right">P</th>
</tr>
</thead>
<tbody>
<tr>
<td>Tea</td>
<td style="text-align:right">2</td>
</tr>
<tr>
<td>Milk</td>
<td style="text-align:right">1</td>
</tr>
</tbody>
</table>
<p>end</p>"""


def rendered(markdown: str) -> str:
    html = html_environment("").from_string(html_from_markdown(markdown)).render(VALUES)
    return "\n".join(line for line in html.split("\n") if line.strip())


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("Hello **{{ name }}**", "<p>Hello <strong>A&amp;B</strong></p>"),
        ("[x]({{ url }}&c=1)", '<p><a href="https://x.example/?a=&#34;b&amp;c=1">x</a></p>'),
        ("a <b>x</b> & y", "<p>a &lt;b&gt;x&lt;/b&gt; &amp; y</p>"),
        ("`{{ name }}` *{% if yes %}a{% endif %}*", "<p><code>A&amp;B</code> <em>a</em></p>"),
        ("{{ '*' }}{{ '<' }}", "<p>*&lt;</p>"),
        ("&#123;&#123; name }}", "<p>{{ name }}</p>"),
        ("{{ name }}", "<p>A&amp;B</p>"),
        ("{% if yes %}\n# T\n{% endif %}", "<h1>T</h1>"),
        (
            "{% for i in items %}\n- {{ i.n }}\n{% endfor %}",
            "<ul>\n<li>Tea</li>\n<li>Milk</li>\n</ul>",
        ),
        (
            "{% for i in items %}\n1. {{ i.n }}\n{% endfor %}",
            "<ol>\n<li>Tea</li>\n<li>Milk</li>\n</ol>",
        ),
        (
            "{% if yes %}\n- a\n{% endif %}",
            "<ul>\n<li>a</li>\n</ul>",
        ),
        (
            "| I | P |\n|---|--:|\n{% for i in items %}\n| {{ i.n }} | {{ i.p }} |\n{% endfor %}\n\nend",
            TABLE,
        ),
        (
            "```\n{% if yes %}\nx {{ name }}\n{% endif %}\n```\n",
            "<pre><code>\nx A&amp;B\n</code></pre>",
        ),
        (
            "~~~\n{% if yes %}\n```\n{% endif %}\n~~~\n\n{% if yes %}\n- a\n{% endif %}",
            "<pre><code>\n```\n</code></pre>\n<ul>\n<li>a</li>\n</ul>",
        ),
        ("a\n{{ name }}\nb", "<p>a\nA&amp;B\nb</p>"),
    ],
)
def test_markdown_gives_this_html(markdown: str, expected: str) -> None:
    assert expected == rendered(markdown)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Hello *{{ name }}*, `x`\n\ntext", "Hello {{ name }}, x"),
        ("## Second\n\n# First\n", "First"),
        ("A\nlong\n===\n", "A long"),
        ("text", ""),
        ("{% if yes %}\n# In\n{% endif %}", "In"),
        ("# &#123;{ x }}", "{{ '{' }}{ x }}"),
    ],
)
def test_first_heading_is_plain(markdown: str, expected: str) -> None:
    assert expected == first_heading(markdown)


def test_page_has_title_and_content_and_fetches_nothing() -> None:
    page = html_environment("").from_string(page_from_markdown("# Hi {{ name }}", "Re: <{{ name }}>")).render(VALUES)

    assert "<title>Re: &lt;A&amp;B&gt;</title>" in page
    assert "<h1>Hi A&amp;B</h1>" in page
    assert page.startswith("<!doctype html>")
    assert "http" not in page
    assert "{{" not in page
