"""Text from outside: made safe to show, compared within bounds."""
