"""The commands that need tasks and scoring; registered under the entry-point group `debate.commands`."""
