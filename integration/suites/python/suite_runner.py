# Runs Django's tests and prints the Test Anything Protocol.
import unittest

from django.test.runner import DiscoverRunner


class Result(unittest.TextTestResult):
    def say(self, what, test, note=""):
        print(f"\n{what} 1 - {test.id()}{note}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.say("not ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say("not ok", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.say("not ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("ok", test, " # skip")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.say("ok", test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.say("not ok", test)


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Result
