"""The web page at /console: a page, a style sheet, and ES modules of one concept each; `vendor/` comes from npm."""
