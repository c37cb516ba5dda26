"""The JSON API: deliveries and explanations under the permissions of the signed-in user.

Imports any room but `web`; nothing imports it but the URLconf.
"""
