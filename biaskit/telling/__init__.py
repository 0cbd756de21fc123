"""A finished result in words and pictures: sentences, terminal numbers, figures, the report. Knows nothing of torch."""
