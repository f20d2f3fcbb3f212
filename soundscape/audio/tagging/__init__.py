"""Tags and the embedding: the model, its scores, and what becomes of them."""
