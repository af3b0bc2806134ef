"""Servers with one fault each, for the scenarios that were made to find such: beside the table of planted defects."""
