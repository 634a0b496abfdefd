"""A debate served as a model, to every client that speaks OpenAI's protocol (docs/serving.md)."""
