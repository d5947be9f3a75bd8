"""One line for each check, and a last line with their number."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import program

# More than this of one kind says nothing new.
SHOWN = 12


class Checks:
    """Counts checks and prints each as it is made."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.scene = ""

    @contextmanager
    def of(self, scene: str) -> Iterator[None]:
        """The checks of one scene, whose programs end with it. One that cannot be played to its end has failed."""
        self.scene = scene
        try:
            yield
        except Exception as error:  # Whatever it is, the other scenes are still played.
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
            self.that("it can be played to its end", [f"{type(error).__name__} at {where}: {error}"])
        finally:
            program.stop_all()

    def that(self, sentence: str, faults: list[str]) -> None:
        """The check `sentence` holds when there are no faults."""
        if not faults:
            self.passed += 1
            print(f"ok    {self.scene}: {sentence}", flush=True)
            return
        self.failed += 1
        print(f"FAIL  {self.scene}: {sentence}", flush=True)
        for fault in faults[:SHOWN]:
            print("          " + fault.replace("\n", "\n          "), flush=True)
        if len(faults) > SHOWN:
            print(f"          and {len(faults) - SHOWN} more", flush=True)

    def end(self) -> int:
        """Prints the last line and returns the exit status."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1
