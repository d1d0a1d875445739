"""All SQL: tables, hot statements, migrations, both engines."""
