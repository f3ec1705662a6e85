"""Systems that are no VAEs, to compare with: run, stopped, resumed and judged like them."""
