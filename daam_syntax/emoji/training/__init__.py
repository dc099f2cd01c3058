"""How the embedded model and the annotator were made; nothing else imports this."""
