"""Stage 3, render: a template and one recipient's variables become ``Content``.

A template that cannot be read or compiled raises ``TemplateError`` before the first row. Anything that goes wrong while
one row is filled in (a variable it lacks, a value of the wrong kind, a line break in the subject) raises
``RowFaultError``, which ends that row and no other. Values are data: they are never compiled, and reach the HTML part
escaped.

The modules, bottom up: ``words`` hides Jinja code while its surroundings are converted, ``plain_text`` and
``markdown_html`` convert, ``environment`` holds the Jinja settings, ``header_block`` reads the lines on top,
``template`` reads the files, ``css`` moves style sheets into tags (``css_once`` on the template, where that is proved
to be the same), ``inline_images`` makes pictures parts of the message, ``renderer`` fills in.
"""
