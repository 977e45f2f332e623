"""Gemini generateContent and streamGenerateContent, as an upstream: https://ai.google.dev/api/generate-content"""
