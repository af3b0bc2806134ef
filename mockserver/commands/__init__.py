"""The commands of `mockserver` beside `serve`, and what all of them need: options, help, examples."""
