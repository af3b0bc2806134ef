"""The commands of `mockserver` except `serve`, and the options that commands share."""
