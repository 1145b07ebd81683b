"""stub"""


class User:
    rounds = 0

    def prompts(self, truths, names, answers=None, earlier=None):
        return None

    def __str__(self):
        return "nobody"


NOBODY = User()


def find_user(text):
    return NOBODY
