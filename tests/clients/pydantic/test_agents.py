"""Each upstream kind of pydantic-ai's gateway: plain, streamed, tools, structured output, cost."""

import asyncio

import pytest
from conftest import VERSION, Gateway, usage
from pydantic import BaseModel
from pydantic_ai import Agent
