"""What holds for all tests."""

import signal

# A shell starts what it puts in the background with SIGINT ignored, which every program below would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
