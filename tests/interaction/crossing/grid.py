"""All rows of the grid, in the order of the page."""

from interaction.crossing import rows_around, rows_asking, rows_catalog, rows_changes, rows_tasks

ROWS = (*rows_catalog.ROWS, *rows_around.ROWS, *rows_asking.ROWS, *rows_changes.ROWS, *rows_tasks.ROWS)
