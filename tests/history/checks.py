"""What the tests of this folder share: conditions that are counted, and marked lines of a source."""
failures = []


def check(condition, message):
    if not condition:
        failures.append(message)
        print("FAILED:", message)


def marked_line(source, mark):
    """The number of the line of the file `source` (a Path) that ends with `mark`."""
    for number, text in enumerate(source.read_text().splitlines(), 1):
        if text.endswith(mark):
            return number
    raise KeyError(mark)
