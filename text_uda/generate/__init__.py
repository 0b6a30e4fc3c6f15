"""Language models: the prompt, the reply, and one engine per file: a server, or a model in this process."""
