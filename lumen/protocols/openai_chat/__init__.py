"""OpenAI Chat Completions and its many relatives."""
