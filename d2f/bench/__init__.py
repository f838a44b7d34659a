"""`d2f bench`: what chains are worth on labelled images, with intervals."""
