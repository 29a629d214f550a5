"""Results for people: tables of text, figures, the report page, and contact sheets of labeled data."""
