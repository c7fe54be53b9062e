"""What the user types: one file per subcommand. A command parses, calls, shows, and returns its exit code.

``settings.py`` alone reads flags, environment, ``.env`` and ``mailblast.toml``; ``app.py`` alone turns errors into
exit codes; ``terminal.py`` alone knows the streams. Heavy imports stand inside the commands that need them.
"""
